"""Forms: of ids, and of the values of headers. They are those that the code accepts, as far as a schema can
say so; tests/litestar_tus/test_openapi.py holds one against the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from tus_domain import MAX_LENGTH

__all__ = ["BINARY", "METADATA", "UPLOAD_ID", "byte_count", "checksum", "one_of", "text"]

_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_PAIR = rf"[!-+\--~]+( {_BASE64})?"

UPLOAD_ID = "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
METADATA = rf"^({_PAIR}([ \t]*,[ \t]*{_PAIR})*)?$"
BINARY = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)


def text(pattern: str | None = None, *, most: int | None = None) -> Schema:
    """A text that has ``pattern``, of ``most`` characters."""
    return Schema(type=OpenAPIType.STRING, pattern=pattern, max_length=most)


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return Schema(type=OpenAPIType.STRING, enum=list(values))


def byte_count(most: int = MAX_LENGTH) -> Schema:
    """A number of bytes, ``most`` at the most."""
    return Schema(type=OpenAPIType.INTEGER, minimum=0, maximum=most)


def checksum(algorithms: Iterable[str]) -> Schema:
    """One of the algorithms, and a digest."""
    return text(f"^({'|'.join(algorithms)}) {_BASE64}$")
