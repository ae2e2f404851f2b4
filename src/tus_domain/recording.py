"""Recording: opening stagings, and completing in them what is due."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

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

    @asynccontextmanager
    async def open(self, opened: AbstractAsyncContextManager[_S]) -> AsyncGenerator[_S, None]:
        """The staging, counted as running. The domain's errors learn there how the upload stands. If it was
        completed, it is not counted as unfinished any more.
        """
        self.running += 1
        try:
            async with opened as staging:
                before = staging.stored
                try:
                    yield staging
                except TusError as error:
                    error.upload = None if staging.stored is None else staging.stored.upload
                    raise
            after = staging.stored
            if before is not None and after is not None and after.upload.complete > before.upload.complete:
                await self.enrolment.leave(after.upload)
        finally:
            self.running -= 1

    async def complete(self, staging: Staging, hooks: Hooks) -> Upload:
        """Complete the staged upload, if it is due. A partial one is nobody's business (T-CONC-03)."""
        if staging.stored is None:
            raise MisuseError("nothing was committed")
        upload = staging.stored.upload
        if upload.due and not upload.partial and hooks.before_complete is not None:
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
