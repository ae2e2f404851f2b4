"""Any sequence of requests: ``Uploads`` over the memory adapters answers as the oracle predicts."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from tests.tus_domain.oracle import Body, Oracle, view
from tests.tus_domain.served import CHECKPOINT_BYTES, CHECKPOINT_SECONDS, LIMIT, NO_BODY, Server, content, run
from tus_domain.values import Extension

LENGTHS = st.sampled_from([None, None, 3, 10, LIMIT, None, 7, 0, LIMIT + 1, -1])
HOOKS = st.sampled_from(["none", "none", "accepts", "refuses"])
# Bytes that come, seconds that pass in between, and pauses.
PIECES = st.lists(
    st.sampled_from([b"a", b"bcd", 1, b"efghij", "pause", b"", CHECKPOINT_SECONDS]), min_size=1, max_size=5
)
GOOD_BODIES = st.fixed_dictionaries(
    {
        "pieces": PIECES,
        "end": st.just("clean"),
        "announced": st.sampled_from(["nothing", "all"]),
        "checksum": st.sampled_from([None, None, "right"]),
    }
)
BAD_BODIES = st.fixed_dictionaries(
    {
        "pieces": PIECES,
        "end": st.sampled_from(["disconnected", "stalled", "stopped", "clean"]),
        "announced": st.sampled_from(["nothing", "all", "one more"]),
        "checksum": st.sampled_from([None, None, None, None, "wrong", "right", "unknown", "short"]),
    }
)
BODIES = GOOD_BODIES | BAD_BODIES


def with_sizes(body: Body, room: int | None = None) -> Body:
    """The body with its announced size in bytes; filled up to ``room`` if that is known."""
    pieces = list(body["pieces"])
    size = len(content(pieces))
    if room is not None and room > size:
        pieces.append(b"." * (room - size))
        size = room
    announced = {"nothing": None, "all": size, "one more": size + 1}[body["announced"]]
    return {**body, "pieces": pieces, "announced": announced}


class Requests(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    @initialize(
        lifetime=st.sampled_from([None, 60]),
        sliding=st.booleans(),
        retention=st.sampled_from([None, None, 30]),
        disabled=st.sampled_from([None] * 6 + list(Extension)),
    )
    def start(
        self, lifetime: int | None, sliding: bool, retention: int | None, disabled: Extension | None
    ) -> None:
        extensions = {extension.value for extension in Extension if extension is not disabled}
        self.created = 0
        self.oracle = Oracle(
            LIMIT, lifetime, retention, extensions, CHECKPOINT_BYTES, CHECKPOINT_SECONDS, sliding=sliding
        )
        self.server = Server(lifetime, retention, extensions, sliding=sliding)

    @rule(target=uploads, length=LENGTHS, policy=st.sampled_from(["implicit", "explicit"]), hook=HOOKS)
    def create(self, length: int | None, policy: str, hook: str) -> Any:
        return self.create_upload(length, policy, NO_BODY, hook)

    @rule(target=uploads, length=LENGTHS, body=BODIES, fill=st.booleans(), hook=HOOKS)
    def create_with_a_body(self, length: int | None, body: Body, fill: bool, hook: str) -> Any:
        return self.create_upload(length, "implicit", with_sizes(body, length if fill else None), hook)

    def create_upload(self, length: int | None, policy: str, body: Body, hook: str) -> Any:
        self.created += 1
        name = f"upload-{self.created}"
        self.request("create", name, length, policy, body, hook)
        return name if name in self.oracle.uploads else multiple()

    # With a body it would depend on the storage when the id is found to be taken.
    @rule(name=uploads, length=LENGTHS, hook=HOOKS)
    def create_again(self, name: str, length: int | None, hook: str) -> None:
        self.request("create", name, length, "implicit", NO_BODY, hook)

    @rule(name=uploads, body=BODIES, fill=st.booleans(), hook=HOOKS)
    def append(self, name: str, body: Body, fill: bool, hook: str) -> None:
        upload = self.oracle.uploads[name]
        offset = len(upload["data"])
        room = upload["length"] - offset if fill and upload["length"] is not None else None
        self.request("append", name, offset, None, with_sizes(body, room), hook)

    @rule(name=uploads, body=BODIES, hook=HOOKS, more=st.sampled_from([3, 0, 10, LIMIT, -1]))
    def append_and_declare_the_length(self, name: str, body: Body, hook: str, more: int) -> None:
        offset = len(self.oracle.uploads[name]["data"])
        self.request("append", name, offset, max(offset + more, 0), with_sizes(body, more), hook)

    @rule(name=uploads, body=BODIES, hook=HOOKS, shift=st.sampled_from([-1, 1]))
    def append_in_the_wrong_place(self, name: str, body: Body, hook: str, shift: int) -> None:
        offset = len(self.oracle.uploads[name]["data"]) + shift
        self.request("append", name, max(offset, 0), None, with_sizes(body), hook)

    @rule(name=uploads, hook=HOOKS)
    def append_nothing(self, name: str, hook: str) -> None:
        self.request("append", name, len(self.oracle.uploads[name]["data"]), None, NO_BODY, hook)

    @rule(name=uploads, hook=HOOKS)
    def find(self, name: str, hook: str) -> None:
        self.request("find", name, hook)

    @rule(name=consumes(uploads), body=BODIES)
    def terminate(self, name: str, body: Body) -> None:
        self.request("terminate", name)
        self.request("append", name, 0, None, with_sizes(body), "none")
        self.request("find", name, "none")
        self.request("terminate", name)

    @rule(seconds=st.sampled_from([1, 20, 60]))
    def wait(self, seconds: int) -> None:
        self.oracle.wait(seconds)
        self.server.wait(seconds)

    def request(self, request: str, *arguments: Any) -> None:
        predicted = self.oracle.answer(request, *arguments)
        answered, kept = run(self.server.answer(request, *arguments))

        assert answered == predicted
        assert kept == {
            name: {**view(upload), "data": upload["data"]} for name, upload in self.oracle.uploads.items()
        }


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=30)
