"""Proxies: where the client sees this server, as far as those in front of it can be believed.

Anybody can send ``Forwarded`` and ``X-Forwarded-*``. So they are read from the end, where the nearest proxy
has written, and only as far as each hop is known. What cannot be made out is left out: an address without
scheme and host is right behind every proxy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from attrs import frozen

__all__ = ["Origins", "networks"]

Network = IPv4Network | IPv6Network

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"[ \t]*(?:({_WORD})=({_WORD}|{_QUOTED}))?[ \t]*([;,]|$)", re.ASCII)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_EVERYBODY = "*"


def networks(names: Collection[str]) -> tuple[Network | None, ...]:
    """Addresses and networks; ``None`` stands for whoever is at the other end.

    :raises TypeError, ValueError: what is given is no collection of them.
    """
    if isinstance(names, str):
        raise TypeError("trusted_proxies: expected a collection of addresses, not one string")
    try:
        return tuple(None if name == _EVERYBODY else ip_network(name) for name in names)
    except ValueError as error:
        raise ValueError(f"trusted_proxies: expected addresses, networks or '*', but {error}") from None


@frozen
class Origins:
    """Tells the origin (``https://example.com``) at which a client sees this server.

    :param trusted: whose forwarding headers are believed.
    """

    trusted: Sequence[Network | None]

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """The origin of a request; ``None`` if it cannot be told for sure."""
        headers = _joined(scope["headers"])
        scheme, host = str(scope["scheme"]), headers.get(b"host", "")
        peer = scope.get("client")
        if None in self.trusted or self._knows("" if peer is None else peer[0]):
            told = self._told(headers)
            if told is None:
                return None
            scheme, host = told[0] or scheme, told[1] or host
        if scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
            return None
        return f"{scheme}://{host.removesuffix(f':{_DEFAULT_PORTS[scheme]}')}"

    def _told(self, headers: Mapping[bytes, str]) -> tuple[str, str] | None:
        """Scheme and host as the proxies tell them, each empty if they do not; ``None`` if what they tell
        cannot be read, or contradicts itself: a proxy sets one kind of header, and passes on what a client
        made up of the other.
        """
        found: list[tuple[str, str]] = []
        if b"forwarded" in headers:
            elements = _elements(headers[b"forwarded"])
            if elements is None:
                return None
            hop = elements[-self._hops([element.get("for", "") for element in elements])]
            found.append((hop.get("proto", "").lower(), hop.get("host", "")))
        if any(name.startswith(b"x-forwarded-") for name in headers):
            found.append(self._x_forwarded(headers))
        schemes, hosts = ({each[part] for each in found if each[part]} for part in (0, 1))
        if len(schemes) > 1 or len(hosts) > 1:
            return None
        return "".join(schemes), "".join(hosts)

    def _x_forwarded(self, headers: Mapping[bytes, str]) -> tuple[str, str]:
        hops = self._hops(_list(headers.get(b"x-forwarded-for", "")))

        def told(name: bytes) -> str:
            # Some proxies add to what is there, others replace it.
            values = _list(headers.get(name, ""))
            return values[-min(hops, len(values))] if values else ""

        scheme, host = told(b"x-forwarded-proto").lower(), told(b"x-forwarded-host")
        port = told(b"x-forwarded-port")
        if host and port and not re.search(r":[0-9]+$", host):
            host = f"{host}:{port}"
        return scheme, host

    def _hops(self, addresses: Sequence[str]) -> int:
        """How many of the last entries come from proxies that are known: the peer, which wrote the last one,
        and whoever is named in an entry that is believed itself.
        """
        hops = 1
        while hops < len(addresses) and self._knows(addresses[-hops]):
            hops += 1
        return hops

    def _knows(self, name: str) -> bool:
        address = _address(name)
        return address is not None and any(address in each for each in self.trusted if each is not None)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    """The address in ``192.0.2.1:80``, ``[2001:db8::1]:80`` and so on; ``None`` if there is none."""
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    elif name.count(":") == 1:
        name = name.partition(":")[0]
    try:
        address = ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _joined(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    """The headers that tell of hosts, several lines of one as one list."""
    found: dict[bytes, str] = {}
    for name, value in raw:
        if name in (b"host", b"forwarded") or name.startswith(b"x-forwarded-"):
            text = value.decode("latin-1").strip(" \t")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found


def _list(value: str) -> list[str]:
    return [each for part in value.split(",") if (each := part.strip(" \t"))]


def _elements(value: str) -> list[dict[str, str]] | None:
    """The elements of ``Forwarded`` (RFC 7239), names in lower case; ``None`` if it is malformed."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while True:
        match = _PAIR.match(value, position)
        if match is None:
            return None
        name, content, end = match.groups()
        if name is not None:
            if name.lower() in elements[-1]:
                return None
            if content.startswith('"'):
                content = re.sub(r"\\(.)", r"\1", content[1:-1])
            elements[-1][name.lower()] = content
        if not end:
            return [element for element in elements if element] or None
        if end == ",":
            elements.append({})
        position = match.end()
