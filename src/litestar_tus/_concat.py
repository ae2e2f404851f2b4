"""Concat: the value of ``Upload-Concat``, read, and the addresses in it."""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

from litestar_tus._headers import MalformedHeaderError
from tus_domain import Concatenation, UploadId

__all__ = ["read_concat"]

_NAME = "upload-concat"
_FORM = "'partial', or 'final;' and the addresses of uploads, with one blank between them"
_HERE = "addresses of uploads at this place"


def read_concat(value: str, collection: str) -> Concatenation:
    """What an upload is to be in a concatenation (T-CONC-02, T-CONC-04).

    :param collection: the path below which uploads are, as the client sees it. Relative addresses are taken
        from there, and all of them have to lead there (T-CONC-18). Scheme and host are not looked at: a
        server behind proxies does not know its own.
    :raises MalformedHeaderError: the value has not the form it must have, or an address leads elsewhere.
    :raises InvalidUploadIdError: an address cannot be one of an upload.
    """
    if value == "partial":
        return Concatenation(value)
    kind, _, rest = value.partition(";")
    addresses = rest.split()
    if kind != "final" or not addresses:
        raise MalformedHeaderError(_NAME, _FORM)
    return Concatenation(value, tuple(_upload_at(address, collection) for address in addresses))


def _upload_at(address: str, collection: str) -> UploadId:
    below = f"{collection.rstrip('/')}/"
    try:
        path = urlsplit(urljoin(below, address)).path
    except ValueError:  # a malformed host
        raise MalformedHeaderError(_NAME, _HERE) from None
    parent, _, name = path.rstrip("/").rpartition("/")
    if unquote(f"{parent}/") != unquote(below):
        raise MalformedHeaderError(_NAME, _HERE)
    return UploadId(name)
