"""Appends that the tests tell things to."""

from typing import Any

from tests.tus_domain.examples import NOW, chunk
from tus_domain.append import Append
from tus_domain.commands import BodyEnded, Sealed
from tus_domain.effects import Commit, Effect, Seal
from tus_domain.policy import Policy
from tus_domain.upload import Upload

CLEAN, BROKEN = BodyEnded(clean=True), BodyEnded(clean=False)
ABC = chunk(b"abc")
POLICY = Policy(max_size=100, checkpoint_bytes=5, checkpoint_seconds=60)


def append_to(upload: Upload, *, content_length: int | None = None, **more: Any) -> Append:
    return Append(upload, more.pop("policy", POLICY), NOW, content_length=content_length, **more)


def committed(effects: tuple[Effect, ...]) -> Commit:
    """The one commit that was asked for."""
    (effect,) = effects
    assert isinstance(effect, Commit)
    return effect


def settle(append: Append, length: int) -> Commit:
    """End the body cleanly, and have so many bytes kept."""
    assert append.tell(CLEAN) == (Seal(),)
    return committed(append.tell(Sealed(length)))
