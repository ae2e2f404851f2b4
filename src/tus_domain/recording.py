"""Recording: opening stagings, and completing in them what is due."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

from tus_domain import decide
from tus_domain.audience import Audience
from tus_domain.enrolment import Enrolment
from tus_domain.errors import MisuseError, TusError
from tus_domain.events import Event
from tus_domain.ledger import Finish
from tus_domain.policy import Policy
from tus_domain.ports import Clock, Hooks, Staging
from tus_domain.upload import Upload

__all__ = ["Recorder"]

_S = TypeVar("_S", bound=Staging)


class Recorder:
    """Records what happens to uploads, in their stagings, and tells the audience."""

    def __init__(self, clock: Clock, policy: Policy, audience: Audience, enrolment: Enrolment) -> None:
        self._clock = clock
        self._policy = policy
        self._audience = audience
        self.enrolment = enrolment
        """Which unfinished uploads there are, where that is limited."""
        self.running = 0
        """How many stagings are open."""

    def open(self, opened: AbstractAsyncContextManager[_S]) -> AbstractAsyncContextManager[_S]:
        """The staging, counted as running. The domain's errors learn there how the upload stands. If it was
        completed, it is not counted as unfinished any more.
        """
        return _Open(self, opened)

    async def complete(self, staging: Staging, hooks: Hooks) -> Upload:
        """Complete the staged upload, if it is due. A partial one is nobody's business (T-CONC-03)."""
        if staging.stored is None:
            raise MisuseError("nothing was committed")
        upload = staging.stored.upload
        if not upload.due:
            return upload
        if not upload.partial and hooks.before_complete is not None:
            upload = await self.record(staging, upload, decide.finalise(upload))
            await hooks.before_complete(upload)
        upload, now = staging.stored.upload, self._clock.now()
        return await self.record(staging, upload, decide.complete(upload, now, self.finish(hooks)))

    def finish(self, hooks: Hooks) -> Finish:
        """What becomes of uploads that are due."""
        within = self._policy.announce_within if self._audience.waits else None
        at_once = hooks.before_complete is None
        return Finish(at_once=at_once, announce_within=within, keep_for=self._policy.retention)

    async def record(self, staging: Staging, upload: Upload, events: tuple[Event, ...]) -> Upload:
        """Commit ``events``, which happened to the staged upload, and tell of them."""
        if not events:
            return upload
        after = upload.apply_all(events)
        await staging.commit(lambda _: after)
        await self._audience.tell(events, after)
        return after


class _Open(Generic[_S]):
    """A staging that is counted while it is open. A class, since a generator's context costs several times
    as much.
    """

    __slots__ = ("_before", "_opened", "_recorder", "_staging")

    def __init__(self, recorder: Recorder, opened: AbstractAsyncContextManager[_S]) -> None:
        self._recorder = recorder
        self._opened = opened

    async def __aenter__(self) -> _S:
        self._recorder.running += 1
        try:
            self._staging = await self._opened.__aenter__()
        except BaseException:
            self._recorder.running -= 1
            raise
        self._before = self._staging.stored
        return self._staging

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            if isinstance(error, TusError):
                stored = self._staging.stored
                error.upload = None if stored is None else stored.upload
            left = await self._opened.__aexit__(kind, error, trace)
            if error is None:
                await self._leave()
            return left
        finally:
            self._recorder.running -= 1

    async def _leave(self) -> None:
        before, after = self._before, self._staging.stored
        if before is not None and after is not None and after.upload.complete > before.upload.complete:
            await self._recorder.enrolment.leave(after.upload)
