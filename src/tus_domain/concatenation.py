"""Concatenation: which uploads may be joined, and what comes of it.

Pure, as ``decide`` is. ``finals`` does what is decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from attrs import evolve

from tus_domain.commands import Concatenate
from tus_domain.decide import created
from tus_domain.errors import (
    MisuseError,
    NotPartialError,
    SourceUnfinishedError,
    TooManySourcesError,
    UploadGoneError,
    UploadTooLargeError,
)
from tus_domain.events import Event, LengthDeclared, OffsetAdvanced, UploadCreated
from tus_domain.ledger import Finish
from tus_domain.policy import Policy
from tus_domain.upload import Upload
from tus_domain.values import Extension, UploadId

__all__ = [
    "all_complete",
    "begin",
    "check_count",
    "check_size",
    "final_id",
    "foreseen",
    "join",
    "restrict",
    "total",
]

_NEEDED = frozenset({Extension.CONCATENATION, Extension.CONCATENATION_UNFINISHED})


def restrict(policy: Policy, *, able: bool) -> Policy:
    """The policy without what the storage is not ``able`` to do: what is announced works (T-CONC-01)."""
    return policy if able else evolve(policy, extensions=policy.extensions - _NEEDED)


def final_id(command: Concatenate) -> UploadId:
    """The id of the final upload that ``command`` begins: the same one for the same sources, metadata and
    owner.

    So whoever asks again, because the answer was lost, finds what the first request has made, and nobody else
    does. It is as hard to guess as the ids that it is made from.
    """
    made_of = f"{','.join(command.concatenation.sources)} {command.metadata.raw or ''}"
    if command.owner is not None:
        made_of += f"\n{command.owner}"  # no metadata has a line's end
    return UploadId(hashlib.sha256(made_of.encode()).hexdigest()[:32])


def begin(
    command: Concatenate, upload_id: UploadId, sources: Iterable[Upload], now: datetime, policy: Policy
) -> UploadCreated:
    """Begin a final upload; nothing exists yet, and hooks may still change the event.

    :param sources: the uploads that it consists of, as they are now.
    :raises NotPartialError: one of them is no partial upload.
    :raises SourceUnfinishedError: one of them is not complete, and that is not offered (T-CONC-08).
    :raises UploadTooLargeError: together they are over the limit (T-CRE-05).
    """
    sources = tuple(sources)
    if not sources:
        raise MisuseError("a final upload consists of others")
    if not all(source.partial for source in sources):
        raise NotPartialError
    if not all_complete(sources) and Extension.CONCATENATION_UNFINISHED not in policy.extensions:
        raise SourceUnfinishedError
    check_size(sources, policy)
    return created(command, upload_id, total(sources), now, policy)


def all_complete(sources: Iterable[Upload]) -> bool:
    """Whether the sources can be joined now."""
    return all(source.complete for source in sources)


def total(sources: Iterable[Upload]) -> int | None:
    """How many bytes the sources have together (T-CONC-06); ``None`` while one of them has not said."""
    lengths = [source.length for source in sources]
    known = [length for length in lengths if length is not None]
    return sum(known) if len(known) == len(lengths) else None


def foreseen(upload: Upload, sources: Iterable[Upload]) -> Upload:
    """A final upload that waits for its sources, with its length as far as that can be told (T-CONC-16)."""
    return evolve(upload, length=total(sources))


def join(
    upload: Upload, sources: Sequence[Upload], now: datetime, policy: Policy, finish: Finish
) -> tuple[Event, ...]:
    """What happens to a final upload when it gets the bytes of its sources, all of them complete.

    :raises UploadTooLargeError: there are more than an upload may have.
    :raises UploadGoneError: there are not as many as was foreseen: a source was replaced by another.
    """
    check_size(sources, policy.limited_to(upload.max_size))
    length = sum(source.offset for source in sources)
    if upload.length not in (None, length):
        raise UploadGoneError
    declared = (LengthDeclared(length),) if upload.length is None else ()
    kept = (OffsetAdvanced(length),) if length else ()
    return (*declared, *kept, *finish.clean_end(now))


def check_count(command: Concatenate, policy: Policy) -> None:
    """See that not too many uploads are listed: a few bytes of a request for each have all of its bytes
    copied. This can be told before they are looked for.

    :raises TooManySourcesError: there are more than the policy allows.
    """
    if len(command.concatenation.sources) > policy.max_sources:
        raise TooManySourcesError(policy.max_sources)


def check_size(sources: Iterable[Upload], policy: Policy) -> None:
    """See that the sources are not too large together. At least so many bytes it will be: a length that is
    not known yet is not below the offset.

    :raises UploadTooLargeError: they are over the limit.
    """
    least = sum(source.offset if source.length is None else source.length for source in sources)
    if least > policy.max_size:
        raise UploadTooLargeError(policy.max_size)
