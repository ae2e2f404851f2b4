"""Driver: takes one body into one staging. It tells an ``Append`` what happens, and performs what it asks."""

from __future__ import annotations

from typing import assert_never

from tus_domain import decide
from tus_domain.append import Append
from tus_domain.audience import Audience
from tus_domain.closing import closing
from tus_domain.commands import BodyEnded, Chunk, Input, Paused, Sealed
from tus_domain.effects import Commit, Seal, Write
from tus_domain.errors import BodyIncompleteError, MisuseError
from tus_domain.events import Event, OffsetAdvanced
from tus_domain.ledger import State
from tus_domain.ports import Body, Clock, Hooks, Staging
from tus_domain.upload import Phase, Upload

__all__ = ["Driver"]


class Driver:
    """Drives one append, for one task."""

    def __init__(
        self, append: Append, staging: Staging, clock: Clock, audience: Audience, hooks: Hooks
    ) -> None:
        self._append = append
        self._staging = staging
        self._clock = clock
        self._audience = audience
        self._on_receive = hooks.on_receive

    async def take(self, body: Body | None) -> None:
        """Take the body in, to its end. ``None``: there is none, which is a clean end.

        :raises BodyLostError: it broke off. What came is kept, unless a checksum was promised.
        :raises RequestError, ContentionError, StorageError: see ``Append.tell`` and ``Staging``.
        """
        append = self._append
        try:
            if body is not None:
                await self._feed(body)
        except BaseException as error:  # cancellation too: keep what came. The adapters shield their commits.
            self._on_receive = None  # nobody is left who could be stopped
            new = self._staging.stored is None
            if append.state is State.RECEIVING and decide.worth_keeping(error, new=new):
                await self.tell(BodyEnded(clean=False))
            raise
        await self.tell(BodyEnded(clean=True))
        if not append.settled:
            raise BodyIncompleteError

    async def tell(self, told: Input) -> None:
        """Tell the append, and do what it asks."""
        for effect in self._append.tell(told):
            match effect:
                case Write(data):
                    await self._write(data)
                case Seal():
                    await self._seal()
                case Commit():
                    raise MisuseError("an append commits only what is sealed")
                case _:
                    assert_never(effect)

    async def _feed(self, body: Body) -> None:
        if (on_pause := getattr(body, "on_pause", None)) is not None:
            on_pause(lambda: self.tell(Paused(self._clock.now())))
        async with closing(body.__aiter__()) as chunks:
            async for data in chunks:
                await self.tell(Chunk(data, self._clock.now()))

    async def _write(self, data: bytes) -> None:
        try:
            await self._staging.write(data)
        except BaseException as error:  # cancellation too
            self._on_receive = None
            # The checkpoint that is due keeps what came before; from its state the end of the body could not.
            if self._append.state is State.CHECKPOINTING and decide.worth_keeping(error, new=False):
                await self._seal()
            raise

    async def _seal(self) -> None:
        """Seal and commit in one trip to the storage: the machine answers ``Sealed`` while the storage has
        hold of the upload.
        """
        events: list[Event] = []

        def settle(length: int) -> Upload:
            for effect in self._append.tell(Sealed(length)):
                match effect:
                    case Commit():
                        events.extend(effect.events)
                    case Write() | Seal():
                        raise MisuseError("an append that was told what is sealed can only commit it")
                    case _:
                        assert_never(effect)
            return self._append.upload

        before = self._staging.stored
        try:
            await self._staging.commit(settle)
        finally:  # a commit that fails may have recorded a part
            if (stored := self._staging.stored) is not None and stored != before:
                upload = stored.upload
                await self._audience.tell(upload.shown(events), upload)
        if self._on_receive is None or self._append.upload.phase is not Phase.RECEIVING:
            return
        if any(isinstance(event, OffsetAdvanced) for event in events):
            await self._on_receive(self._append.upload)
