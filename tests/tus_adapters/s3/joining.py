"""Partial uploads and final ones, for the tests of how they are joined in a bucket."""

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import define, field

from tests.tus_adapters.s3.adapter import PREFIX
from tests.tus_adapters.s3.simulation import Call, Faults
from tests.tus_adapters.s3.store import Store
from tests.tus_adapters.s3.uploading import PART, Node
from tus_adapters.ids import random_id
from tus_adapters.testing.steps import content
from tus_domain import Concatenate, Concatenation, CreateUpload, Upload, UploadId

Meanwhile = Callable[[Call], Awaitable[None]]


async def nothing(_: Call) -> None:
    pass


@define(eq=False)
class Watched(Faults):
    """A gate that has something happen before each call."""

    meanwhile: Meanwhile = field(default=nothing)

    async def passing(self, call: Call, /) -> Any:
        await self.meanwhile(call)
        return await super().passing(call)


class Bench:
    """Nodes over one store, that share no locks."""

    def __init__(self, **store: Any) -> None:
        self.store = Store(**{"least_part": PART, "equal_parts": True, **store})
        self.gate, self.other_gate = Watched(), Watched()
        self.node, self.other = Node(self.store, self.gate), Node(self.store, self.other_gate)

    async def part(self, data: bytes, *, length: int | None = None) -> UploadId:
        """A partial upload with these bytes, complete unless there is more to come."""
        command = CreateUpload(
            upload_id=random_id(),
            length=len(data) if length is None else length,
            concatenation=Concatenation("partial"),
        )
        upload = await self.node.uploads.create(command)
        if data:
            await self.node.append(upload.id, 0, data)
        return upload.id

    async def parts(self, *sizes: int) -> tuple[list[UploadId], bytes]:
        """So many complete ones, and the bytes of all together."""
        pieces = [content(size, number) for number, size in enumerate(sizes)]
        ids = [await self.part(piece) for piece in pieces]
        self.forget()
        return ids, b"".join(pieces)

    def forget(self) -> None:
        """Count requests from here on."""
        self.gate.calls.clear()
        self.other_gate.calls.clear()

    def asked(self, kind: str, node: Node | None = None) -> list[Call]:
        """The requests of that kind that the node made."""
        gate = self.gate if node in (None, self.node) else self.other_gate
        return [call for call in gate.calls if call.kind == kind]

    def object(self, upload_id: UploadId) -> bytes:
        """What is in the upload's object."""
        return self.store.objects[f"{PREFIX}{upload_id}"].content

    def left_of(self, upload_id: UploadId) -> set[str]:
        """What there is of an upload besides its record, multipart uploads included."""
        name = f"{PREFIX}{upload_id}"
        keys = {key for key in self.store.objects if key == name or key.startswith(f"{name}.")}
        going = {upload.key for upload in self.store.uploads.values() if upload.key == name and upload.parts}
        return (keys - {f"{name}.info"}) | going


async def join(node: Node, *ids: UploadId) -> Upload:
    """Make a final upload of these."""
    command = Concatenate(concatenation=Concatenation("final;" + " ".join(ids), ids))
    return await node.uploads.finals.create(command)


__all__ = ["PART", "Bench", "Meanwhile", "join"]
