"""Clients: what one does, request by request, and what it may be answered.

An answer that it may not be given is a violation, unless a server was killed meanwhile.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from random import Random

from tests.soak.bodies import TUS, Body
from tests.soak.connection import Answer, Connection, LeftError, LostError
from tests.soak.expected import Comparison, Expected, Violation
from tests.soak.pace import Pace
from tests.soak.places import Node, Place

COLLECTION = "/files/"
GONE = (404, 410)
REFUSED = (409, 423)  # somebody else is at it
UP_SECONDS = 60.0  # within which a server that was killed is there again


class OverError(Exception):
    """There is no more to do with this upload, and nothing is wrong."""


@dataclass(eq=False)
class Client:
    """Makes requests to the servers of a place, any of them each time."""

    place: Place
    pace: Pace
    random: Random
    counts: Counter[str]
    """Of answers, by method and status; and of bytes."""

    async def ask(
        self,
        method: str,
        upload: Expected,
        headers: Mapping[str, str],
        allowed: Collection[int],
        *,
        body: Body | None = None,
        take: Callable[[bytes], None] | None = None,
    ) -> Answer | None:
        """One request on a connection of its own, at any of the servers.

        :param take: gets the pieces of a successful answer's body.
        :returns: None if there is no answer because the server was killed.
        :raises OverError: the upload is gone, and may be.
        :raises LeftError: the client left, as its body wanted.
        :raises Violation: anything else.
        """
        node, began = self._node(), time.monotonic()
        told = f"{method} at {node.name}, {began:.1f}, of {upload} with {body}"
        try:
            answer = await self._exchange(node, method, upload, headers, body, take)
        except LostError as error:
            if not node.was_killed_since(began):
                raise Violation(f"{told}: {error!r}") from error
            self.counts[f"{method} lost in a kill"] += 1
            return None
        except TimeoutError as error:
            raise Violation(f"{told}: no answer") from error
        finally:
            if body is not None:
                self.counts["bytes sent"] += body.written
        self.counts[f"{method} {answer.status}"] += 1
        if answer.status >= 500 and node.was_killed_since(began):
            return None
        self._judge(answer, told, upload, allowed, body, began)
        return answer

    def _node(self) -> Node:
        return self.random.choice([node for node in self.place.nodes if node.is_up])

    async def _exchange(
        self,
        node: Node,
        method: str,
        upload: Expected,
        headers: Mapping[str, str],
        body: Body | None,
        take: Callable[[bytes], None] | None,
    ) -> Answer:
        pieces = None if body is None else body.pieces(self.pace.breath)
        path = upload.path or COLLECTION
        with await Connection.open(node.server.port) as connection:
            try:
                return await connection.ask(method, path, headers, pieces, take=take)
            except LeftError:
                if body is not None and body.resets:
                    connection.reset()
                self.counts[f"{method} left"] += 1
                raise

    def _judge(
        self,
        answer: Answer,
        told: str,
        upload: Expected,
        allowed: Collection[int],
        body: Body | None,
        began: float,
    ) -> None:
        """
        :raises OverError, Violation: it is not among those that are allowed.
        """
        if answer.status == 408 and body is not None and body.slowest > self.place.times.idle * 0.8:
            return
        if upload.path and answer.status in (*GONE, 423) and upload.may_be_gone():
            raise OverError  # or it is being swept, and this request was asked to end for that
        if answer.status not in allowed:
            raise Violation(f"{told}: {answer}")
        if upload.path and answer.status not in GONE and upload.must_be_gone(began):
            raise Violation(f"{told}: {answer.status} for what must be gone")

    # --- creating ---------------------------------------------------------------------------------------

    async def create(
        self, upload: Expected, *, concat: str = "", deferred: bool = False, body: Body | None = None
    ) -> None:
        """Make the upload. A `body` comes with the creation.

        :raises OverError: whether it was made is not known, and where it is neither.
        """
        headers = dict(TUS) if body is None else body.headers()
        if not concat.startswith("final"):
            headers |= {"Upload-Defer-Length": "1"} if deferred else {"Upload-Length": str(upload.length)}
        if concat:
            headers["Upload-Concat"] = concat
        if body is None:
            headers["Content-Length"] = "0"
        headers["Upload-Metadata"] = "filename c29haw=="
        allowed = (
            [460] if body is not None and not body.is_right else [201, *(GONE if upload.sources else ())]
        )
        began = time.monotonic()
        try:
            answer = await self.ask("POST", upload, headers, allowed, body=body)
        except LeftError:
            raise OverError from None
        if (
            answer is not None
            and answer.status in GONE
            and not any(source.may_be_gone() for source in upload.sources)
        ):
            raise Violation(f"POST of a final upload: {answer}, and its parts must be there")
        if answer is None or "location" not in answer.headers:
            raise OverError
        upload.path = answer.headers["location"]
        upload.born = began, time.monotonic()
        if body is not None:
            upload.sends(body.may_count)
        if not concat.startswith("final"):
            exactly = None if answer.status == 408 else upload.sent  # what came of a slow body is kept
            upload.keeps(int(answer.headers.get("upload-offset", "0")), exactly=exactly)
        upload.told = not deferred
        if answer.status == 201 and upload.told and upload.acknowledged == upload.length:
            upload.completes(began)

    # --- asking -----------------------------------------------------------------------------------------

    async def head(self, upload: Expected, *, exactly: int | None = None) -> None:
        """Ask how the upload stands, until there is an answer.

        :param exactly: the offset that it must have.
        """
        began = time.monotonic()
        answer = await self.insist("HEAD", upload, TUS, (200,))
        upload.keeps(answer.offset, exactly=exactly)
        length = answer.headers.get("upload-length")
        if length != str(upload.length) and (upload.told or length is not None):
            raise Violation(f"HEAD of {upload}: {answer.headers}, expected length {upload.length}")
        upload.told = length is not None
        if upload.told and upload.acknowledged == upload.length:
            upload.completes(began)

    async def insist(
        self,
        method: str,
        upload: Expected,
        headers: Mapping[str, str],
        allowed: Collection[int],
        take: Callable[[], Callable[[bytes], None]] | None = None,
    ) -> Answer:
        """Ask again if the answer was lost in a kill. Nobody is refused who only asks."""
        deadline = time.monotonic() + UP_SECONDS
        while True:
            answer = await self.ask(method, upload, headers, allowed, take=take() if take else None)
            if answer is not None:
                return answer
            if time.monotonic() > deadline:
                raise Violation(f"{method} of {upload}: no answer in {UP_SECONDS} s")
            await asyncio.sleep(0.2)

    # --- appending --------------------------------------------------------------------------------------

    async def append(
        self,
        upload: Expected,
        body: Body,
        *,
        length: int | None = None,
        beside: bool = False,
    ) -> bool:
        """PATCH with bytes that belong where the upload ends, perhaps with a digest that they have not.

        :param length: it is told with the request.
        :param beside: another connection is at the upload, too.
        :returns: whether all of it was acknowledged.
        """
        start, began = upload.acknowledged, time.monotonic()
        headers = body.headers() | {"Upload-Offset": str(start)}
        if length is not None:
            headers["Upload-Length"] = str(length)
        upload.sends(start + body.may_count)
        allowed = [204] if body.is_right else [460]
        if beside or upload.is_haunted:
            allowed += REFUSED
        try:
            answer = await self.ask("PATCH", upload, headers, allowed, body=body)
        except LeftError:
            upload.leaves()
            return False
        if answer is None or answer.status != 204:
            return False
        if answer.offset != start + len(body.data):
            raise Violation(f"PATCH {upload.path} from {start} with {len(body.data)} bytes: {answer}")
        upload.acknowledged = max(upload.acknowledged, answer.offset)
        upload.told = upload.told or length is not None
        if upload.told and upload.acknowledged == upload.length:
            upload.completes(began)
        return True

    # --- the end ----------------------------------------------------------------------------------------

    async def delete(self, upload: Expected) -> None:
        """Remove the upload, and see that it is gone."""
        allowed = (204, *(REFUSED if self.place.name == "s3" else ()))  # whoever loses a race for a record
        for _ in range(50):
            answer = await self.ask("DELETE", upload, TUS, allowed)
            if answer is not None and answer.status == 204:
                break
            if answer is None:
                upload.deleted = None
            await asyncio.sleep(0.2)
        else:
            raise Violation(f"DELETE {upload.path}: refused again and again")
        upload.deleted, upload.removed = True, time.monotonic()
        with contextlib.suppress(OverError):
            await self.ask("HEAD", upload, TUS, GONE)

    async def download(self, upload: Expected, start: int = 0, stop: int | None = None) -> None:
        """Have all bytes of a complete upload, or a range of them, and compare."""
        wanted = f"GET {start} to {stop} of {upload}"
        headers = {} if stop is None else {"Range": f"bytes={start}-{stop - 1}"}
        comparison = Comparison([], 0, 0)

        def take() -> Callable[[bytes], None]:
            nonlocal comparison
            comparison = Comparison(upload.content, start, upload.length if stop is None else stop)
            return comparison.take

        try:
            await self.insist("GET", upload, headers, (200,) if stop is None else (206,), take)
            comparison.end()
        except Violation as violation:
            raise Violation(f"{wanted}: {violation}") from violation
        self.counts["bytes compared"] += (upload.length if stop is None else stop) - start
        self.counts["uploads compared"] += stop is None
