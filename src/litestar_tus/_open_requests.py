"""Open requests: how many are being served at a time, and that there are not too many."""

from __future__ import annotations

from collections import Counter

from tus_domain.errors import RequestError

__all__ = ["OpenRequests", "TooManyRequestsError"]


class TooManyRequestsError(RequestError):
    """There are as many open requests as there may be. The same one will do later."""

    def __init__(self) -> None:
        super().__init__("Too many requests are open at this moment; try again later.")


class OpenRequests:
    """The open requests of one plugin in one process.

    :param most: how many there may be; ``None``: any number.
    :param most_each: how many of them to one upload. All but one of those that write wait for each other.
    """

    def __init__(self, most: int | None, most_each: int | None) -> None:
        self._most = most
        self._most_each = most_each
        self._open = Counter[str]()
        self.count = 0
        """How many there are."""

    def enter(self, name: str | None) -> None:
        """Have one more, to the upload of that name; ``None``: to none that there is. To be followed by
        ``leave``.

        :raises TooManyRequestsError: there may be no more.
        """
        if self._most is not None and self.count >= self._most:
            raise TooManyRequestsError
        if name is not None and self._most_each is not None and self._open[name] >= self._most_each:
            raise TooManyRequestsError
        self.count += 1
        if name is not None:
            self._open[name] += 1

    def leave(self, name: str | None) -> None:
        """Have one less."""
        self.count -= 1
        if name is not None:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]
