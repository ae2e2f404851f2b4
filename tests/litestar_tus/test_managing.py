"""What an operator does with uploads, on the command line: of a directory, of a bucket, of an application."""

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from litestar.cli.main import litestar_group

from litestar_tus import _place
from litestar_tus.backends import s3
from litestar_tus.backends.file import FileStorageBackend
from litestar_tus.cli import main
from tests.tus_adapters.s3.servers import Server as Store
from tests.tus_domain.doubles import Pieces
from tus_adapters.clock import ManualClock
from tus_adapters.ids import random_id
from tus_adapters.locks import MemoryLocks
from tus_adapters.memory import RecordedEvents
from tus_domain import (
    AppendBody,
    Concatenation,
    CreateUpload,
    Metadata,
    Policy,
    Storage,
    Stored,
    Upload,
    UploadId,
    Uploads,
)
from tus_domain.errors import StorageError, TooManyUploadsError

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PARTIAL = Concatenation("partial")

Run = Callable[..., Result]


class Listened(RecordedEvents):
    """Has listeners, who never come to hear anything."""

    def wants_completions(self) -> bool:
        return True

    async def announce(self, upload: Upload, done: Callable[[], Awaitable[None]], /) -> None: ...


NAME = "a b\x1b[2J\u202e.bin".encode()


def filled(storage: Storage, *, age: timedelta = timedelta(), name: bytes = NAME) -> dict[str, UploadId]:
    """A complete upload, and unfinished ones that live for an hour, all made some time ago."""
    clock = ManualClock(datetime.now(UTC) - age)
    uploads = Uploads(storage, MemoryLocks(), clock, Policy(lifetime=HOUR))

    async def fill() -> dict[str, UploadId]:
        ids = {key: random_id() for key in ("done", "begun", "unknown")}
        named = Metadata.of({"filename": name, "raw": b"\xff"})
        await uploads.create(CreateUpload(upload_id=ids["done"], length=3000, metadata=named))
        await uploads.append(ids["done"], AppendBody(offset=0), Pieces(bytes(3000)))
        await uploads.create(CreateUpload(upload_id=ids["begun"], length=10, concatenation=PARTIAL))
        await uploads.append(ids["begun"], AppendBody(offset=0), Pieces(bytes(5)))
        await uploads.create(CreateUpload(upload_id=ids["unknown"], length=None))
        return ids

    return anyio.run(fill)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture(params=["directory", "application"])
def run(request: pytest.FixtureRequest, directory: Path, tmp_path: Path, monkeypatch) -> Run:
    """The commands on the directory: as they are, and on an application that stores there."""
    directory.mkdir()
    if request.param == "directory":
        return lambda *typed: invoke(main, *typed, "--dir", str(directory))
    name = f"managed_{random_id()}"
    (tmp_path / f"{name}.py").write_text(
        "from litestar import Litestar\nfrom litestar_tus import TUSConfig, TUSPlugin\n"
        f"app = Litestar(plugins=[TUSPlugin(TUSConfig(upload_dir={str(directory)!r}))])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return lambda *typed: invoke(litestar_group, "--app", f"{name}:app", "tus", *typed)


def invoke(command: Any, *typed: str) -> Result:
    return CliRunner().invoke(command, typed, catch_exceptions=False)


def files_of(directory: Path) -> set[str]:
    """Whose files there are, but for tombstones."""
    return {path.name.split(".")[0] for path in directory.iterdir() if path.suffix != ".gone"}


def said(result: Result) -> str:
    """What a person reads in it beside the output; Litestar draws frames."""
    return re.sub(r"[\s│]+", " ", result.stderr)


def listed(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {entry["id"]: entry for entry in map(json.loads, result.stdout.splitlines())}


def test_all_are_listed(run: Run, directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))

    result = run("list")

    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["ID", "STATE", "SIZE", "DONE", "CREATED", "EXPIRES", "NAME"]
    told = {row.split()[0]: row for row in rows}
    assert set(told) == set(ids.values())
    today = f"{datetime.now(UTC):%Y-%m-}"
    assert told[ids["done"]].split()[1:5] == ["complete", "2.9", "KiB", "100%"]
    assert told[ids["done"]].split()[5].startswith(today)
    assert told[ids["begun"]].split()[1:5] == ["receiving", "10", "B", "50%"]
    assert told[ids["unknown"]].split()[1:4] == ["receiving", "?", "?"]
    assert told[ids["done"]].endswith("-                 a b?[2J?.bin"), "a terminal obeys what clients say"


def test_for_programs_each_is_a_line_of_json(run: Run, directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))

    found = listed(run("list", "--json"))
    unfinished = listed(run("list", "--json", "--unfinished"))

    assert set(found) == set(ids.values())
    assert set(unfinished) == {ids["begun"], ids["unknown"]}
    done = found[ids["done"]]
    assert (done["state"], done["offset"], done["length"], done["owner"]) == ("complete", 3000, 3000, None)
    assert done["metadata"] == {"filename": "a b\x1b[2J\u202e.bin", "raw": "\ufffd"}
    assert found[ids["begun"]]["partial"] is True
    begun = found[ids["begun"]]
    life = datetime.fromisoformat(begun["expires_at"]) - datetime.fromisoformat(begun["created_at"])
    assert (life, done["expires_at"]) == (HOUR, None)


def test_one_is_shown_by_its_id_or_its_address(run: Run, directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))

    text = run("show", ids["done"])
    one = run("show", f"https://example.org/files/{ids['begun']}/", "--json")

    assert text.exit_code == one.exit_code == 0
    lines = dict(line.split("  ", 1) for line in text.stdout.splitlines())
    assert {name: value.strip() for name, value in lines.items()}["metadata filename"] == "a b?[2J?.bin"
    assert "\x1b" not in text.stdout
    assert json.loads(one.stdout) == listed(run("list", "--json"))[ids["begun"]]


def test_what_is_removed_is_gone_and_what_is_not_there_is_told(run: Run, directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))

    result = run("rm", ids["done"], "nobody", ids["unknown"])

    assert (result.exit_code, result.stdout.split()) == (1, [ids["done"], ids["unknown"]])
    assert said(result).startswith("2 removed ")
    assert "There is no upload nobody." in said(result)
    assert set(listed(run("list", "--json"))) == {ids["begun"]}
    assert files_of(directory) == {ids["begun"]}
    assert json.loads(run("rm", "--json", ids["begun"]).stdout) == {"removed": [ids["begun"]]}


def test_a_sweep_removes_what_has_expired_and_nothing_else(run: Run, directory: Path) -> None:
    storage = FileStorageBackend(directory)
    old, new = filled(storage, age=DAY), filled(storage)
    before = run("list").stdout
    assert run("show", old["begun"]).stdout.split()[3] == "expired"

    result = run("sweep")

    assert before.count("expired") == 2
    assert set(result.stdout.split()) == {old["begun"], old["unknown"]}
    assert result.stderr == "2 removed\n"
    assert set(listed(run("list", "--json"))) == {old["done"], *new.values()}
    assert json.loads(run("sweep", "--json").stdout) == {"removed": []}


@pytest.mark.parametrize("command", ["rm", "sweep"])
def test_what_is_removed_makes_room_at_once(directory: Path, command: str) -> None:
    """Though the command does not know that there is a limit."""
    directory.mkdir()
    storage = FileStorageBackend(directory)
    limited = Policy(lifetime=timedelta(seconds=1), max_uploads=2, max_uploads_per_owner=1)

    def create(at: datetime, owner: str | None = None) -> str:
        uploads = Uploads(storage, MemoryLocks(), ManualClock(at), limited)
        made = CreateUpload(upload_id=random_id(), length=3, owner=owner)
        return anyio.run(uploads.create, made).id

    ids = [create(datetime.now(UTC) - timedelta(seconds=7), owner) for owner in ("ann", None)]
    with pytest.raises(TooManyUploadsError):
        create(datetime.now(UTC) - timedelta(seconds=6.5))
    result = invoke(main, command, *(ids if command == "rm" else ()), "--dir", str(directory))

    assert (result.exit_code, set(result.stdout.split())) == (0, set(ids))
    create(datetime.now(UTC), "ann")
    create(datetime.now(UTC))


def test_what_may_yet_be_given_more_time_keeps_its_place(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer does not let go, and its next bytes may come with a life of their own."""
    directory.mkdir()
    monkeypatch.setattr(_place, "FileStorageBackend", partial(FileStorageBackend, lock_patience=0.1))
    storage, clock = FileStorageBackend(directory), ManualClock(datetime.now(UTC) - timedelta(seconds=20))
    limited = Policy(lifetime=timedelta(seconds=1), max_uploads=1, sliding=True)
    uploads, upload_id = Uploads(storage, storage.locks, clock, limited), random_id()

    async def swept_beside_a_writer() -> Result:
        await uploads.create(CreateUpload(upload_id=upload_id, length=3))
        async with storage.locks.hold(upload_id):
            return await anyio.to_thread.run_sync(invoke, main, "sweep", "--dir", str(directory))

    async def listed_names() -> list[str]:
        return [name async for _, name in storage.enrolled(None)]

    assert anyio.run(swept_beside_a_writer).exit_code == 0
    assert any(upload_id in name for name in anyio.run(listed_names))


def test_a_sweep_leaves_what_listeners_are_still_to_hear_of(run: Run, directory: Path) -> None:
    """The process that was to tell them has died, and the timer comes before it is back."""
    storage, clock = FileStorageBackend(directory), ManualClock(datetime.now(UTC) - DAY)
    uploads = Uploads(storage, MemoryLocks(), clock, Policy(retention=HOUR), events=Listened())
    upload_id = random_id()
    anyio.run(uploads.create, CreateUpload(upload_id=upload_id, length=3), Pieces(b"abc"))

    result = run("sweep", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"removed": []})
    assert listed(run("list", "--json"))[upload_id]["state"] == "expired"
    assert run("rm", upload_id).exit_code == 0


def test_whatever_its_state_and_whatever_clients_may_do_it_can_be_removed(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cannot_end.py").write_text(
        "from litestar import Litestar\nfrom litestar_tus import TUSConfig, TUSPlugin\n"
        f"config = TUSConfig(upload_dir={str(directory)!r}, extensions=['creation'])\n"
        "app = Litestar(plugins=[TUSPlugin(config)])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    directory.mkdir()
    old, new = filled(FileStorageBackend(directory), age=DAY), filled(FileStorageBackend(directory))

    result = invoke(litestar_group, "--app", "cannot_end:app", "tus", "rm", old["begun"], new["done"])

    assert (result.exit_code, result.stdout.split()) == (0, [old["begun"], new["done"]])
    assert {old["begun"], new["done"]}.isdisjoint(files_of(directory))


def test_what_a_sweep_has_removed_is_told_even_if_the_storage_fails(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(FileStorageBackend):
        async def delete(self, stored: Stored) -> None:
            if stored.upload.id == old["unknown"]:
                raise StorageError("no such luck")
            await super().delete(stored)

    old = filled(FileStorageBackend(directory), age=DAY)
    monkeypatch.setattr(_place, "FileStorageBackend", Failing)

    result = invoke(main, "sweep", "--dir", str(directory))

    assert (result.exit_code, result.stdout.split()) == (1, [old["begun"]])
    assert "no such luck" in said(result)


@pytest.mark.servers
def test_a_bucket(ministack_server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def client(**_: object) -> Any:
        return ministack_server.client()

    prefix = f"{random_id()}/"
    ids = filled(s3.S3StorageBackend(client(), bucket=ministack_server.bucket, key_prefix=prefix), age=DAY)
    monkeypatch.setattr(s3, "make_client", client)
    place = ("--s3-bucket", ministack_server.bucket, "--s3-prefix", prefix)

    assert set(listed(invoke(main, "list", "--json", *place))) == set(ids.values())
    assert set(invoke(main, "sweep", *place).stdout.split()) == {ids["begun"], ids["unknown"]}
    assert invoke(main, "rm", ids["done"], *place).exit_code == 0
    assert listed(invoke(main, "list", "--json", *place)) == {}


@pytest.mark.parametrize(
    ("typed", "code", "expected"),
    [
        (("list", "--dir", "nowhere"), 2, "There is no directory nowhere."),
        (("list", "--dir", "x", "--s3-bucket", "b"), 2, "in --dir or in --s3-bucket, not in both."),
        (("sweep", "--s3-region", "r"), 2, "--s3-region means nothing without --s3-bucket."),
        (("show", "a b"), 2, "'a b' is no upload id"),
        (("rm",), 2, "Missing argument 'ID...'"),
        (("show", "nobody"), 1, "There is no upload nobody."),
    ],
)
def test_what_cannot_be_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], code: int, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uploads").mkdir()

    result = invoke(main, *typed)

    assert result.exit_code == code
    assert expected in said(result)
    assert list(tmp_path.rglob("*")) == [tmp_path / "uploads"], "a place that was mistyped was made"


def test_a_storage_that_fails_is_told_in_one_line(directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))
    (directory / f"{ids['done']}.info").write_bytes(b"{")

    result = invoke(main, "show", ids["done"], "--dir", str(directory))

    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert result.stderr.startswith("Error: ")


def test_an_operator_is_told_why_the_storage_has_failed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are not, so the error itself does not say it; the one that it came from does."""

    class Refused(FileStorageBackend):
        async def scan(self) -> AsyncIterator[Stored]:
            raise StorageError from OSError("no\x1b credentials")
            yield

    directory.mkdir()
    monkeypatch.setattr(_place, "FileStorageBackend", Refused)

    result = invoke(main, "list", "--dir", str(directory))

    assert (result.exit_code, result.stderr) == (1, "Error: The storage failed: no? credentials\n")


@pytest.mark.parametrize(
    ("kept", "typed", "expected"),
    [
        ({"sharded": True}, (), "--sharded"),
        ({}, ("--record-dir", "records"), "There are records among the bytes"),
    ],
    ids=["sharded", "records elsewhere"],
)
def test_uploads_that_would_not_be_found_are_not_taken_to_be_none(
    directory: Path, kept: dict[str, Any], typed: tuple[str, ...], expected: str
) -> None:
    filled(FileStorageBackend(directory, **kept))
    before = set(directory.rglob("*"))

    for command in ("list", "sweep"):
        result = invoke(main, command, "--dir", str(directory), *typed)
        assert (result.exit_code, result.stdout) == (2, "")
        assert expected in said(result)
    assert set(directory.rglob("*")) == before


def test_a_terminal_of_few_characters_is_shown_what_it_has(directory: Path) -> None:
    """What a client calls its file is no reason to end the list."""
    filled(FileStorageBackend(directory), name="\u4f60\u00e9.bin".encode())
    place = ("--dir", str(directory))

    for command in (["list"], ["show", next(iter(listed(invoke(main, "list", "--json", *place))))]):
        result = CliRunner(charset="latin-1").invoke(main, [*command, *place])
        assert (result.exit_code, result.exception) == (0, None)
    result = CliRunner(charset="latin-1").invoke(main, ["list", *place])
    assert [line.split()[-1] for line in result.stdout.splitlines() if "complete" in line] == ["?\u00e9.bin"]
    assert len(result.stdout.splitlines()) == 4


def test_a_name_of_any_length_leaves_the_table_readable(directory: Path) -> None:
    ids = filled(FileStorageBackend(directory), name=b"x" * 8000)

    rows = invoke(main, "list", "--dir", str(directory)).stdout.splitlines()
    shown = invoke(main, "show", ids["done"], "--dir", str(directory)).stdout

    assert max(map(len, rows)) < 200
    assert any(row.endswith("x...") for row in rows)
    assert "x" * 8000 in shown


def test_of_what_cannot_be_read_the_id_is_told(directory: Path) -> None:
    ids = filled(FileStorageBackend(directory))
    (directory / f"{ids['done']}.info").write_bytes(b"{")
    command = [sys.executable, "-c", "from litestar_tus.cli import main; main()"]

    done = subprocess.run(
        [*command, "list", "--json", "--dir", directory], capture_output=True, text=True, check=True
    )

    assert len(done.stdout.splitlines()) == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ERROR tus_adapters.files: record unreadable ")
    assert f"upload_id='{ids['done']}'" in line


def test_of_several_plugins_one_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"managed_{random_id()}"
    (tmp_path / f"{name}.py").write_text(
        "from litestar import Litestar\nfrom litestar_tus import TUSConfig, TUSPlugin\n"
        "of = lambda at: TUSPlugin(TUSConfig(path_prefix=f'/{at}', upload_dir=at))\n"
        "app = Litestar(plugins=[of('one'), of('two')])\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    ids = filled(FileStorageBackend(tmp_path / "two"))
    app = ("--app", f"{name}:app", "tus", "list", "--json")

    assert set(listed(invoke(litestar_group, *app, "--prefix", "two"))) == set(ids.values())
    for wrong in ((), ("--prefix", "/three")):
        result = invoke(litestar_group, *app, *wrong)
        assert result.exit_code == 2
        assert "expected one of /one, /two" in said(result)
