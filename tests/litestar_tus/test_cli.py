"""The command: its options, its environment, and what it says when it is used wrongly."""

import re
import sys
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from attrs import evolve, fields
from click.testing import CliRunner, Result

from litestar_tus import server
from litestar_tus.cli import main
from litestar_tus.server import Settings

OPTIONS = [
    "host",
    "port",
    "prefix",
    "max-size",
    "expire-after",
    "sliding-expiry",
    "keep-for",
    "sweep-every",
    "fsync",
    "record-dir",
    "sharded",
    "finished-dir",
    "idle-timeout",
    "minimum-speed",
    "max-requests",
    "max-requests-per-upload",
    "max-uploads",
    "max-header-size",
    "max-metadata-size",
    "max-sources",
    "grace",
    "root-path",
    "page",
    "access-log",
    "log-level",
    "metrics",
    "tracing",
    "extensions",
    "downloads",
    "remove-partials",
    "absolute-location",
    "trusted-proxies",
    "s3-bucket",
    "s3-prefix",
    "s3-endpoint",
    "s3-region",
    "s3-part-size",
    "s3-memory",
]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What the server was started with; it is not."""
    served: list[Settings] = []
    monkeypatch.setattr(server, "run", served.append)
    return served


def serve(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, ["serve", *arguments], env=env, catch_exceptions=False)


def said(result: Result) -> str:
    """What a person reads, however wide the terminal."""
    return re.sub(r"\s+", " ", click.unstyle(result.output))


# --- help -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_the_command_says_what_it_can(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0
    assert "Resumable uploads over tus 1.0." in said(result)
    assert "serve Serve uploads, stored in DIRECTORY or in an S3 bucket." in said(result)


def test_the_version_is_told() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert (result.exit_code, result.output.split()[-1]) == (0, version("litestar-tus"))


def test_each_option_is_explained_with_its_default() -> None:
    result = serve("--help")
    text = said(result)

    assert result.exit_code == 0
    for name in OPTIONS:
        either = r"(?:/ --(?:no|keep|relative|fixed)-\w+|[A-Z\[])"
        (explained,) = re.findall(rf"--{name} {either}.*?\[default: .*?\]", text)
        assert re.search(r"[A-Z][a-z ]+.*\. \[default: ", explained), f"no sentence: {explained}"
    for part in (
        "[default: 127.0.0.1]",
        "[default: 8000;",
        "[default: /files]",
        "[default: no limit]",
        "[default: 24h]",
        "[default: completion]",
        "TUS_MAX_SIZE",
        "TUS_DIR",
        "5GiB",
        "7d or never",
    ):
        assert part in text


def test_no_line_of_the_help_is_too_long() -> None:
    result = CliRunner().invoke(main, ["serve", "--help"], terminal_width=80)

    assert max(map(len, result.output.splitlines())) <= 80


# --- options --------------------------------------------------------------------------------------


def test_the_defaults(served: list[Settings]) -> None:
    assert serve().exit_code == 0

    assert served == [Settings(directory=Path("uploads"))]
    assert served[0] == Settings(
        directory=Path("uploads"),
        host="127.0.0.1",
        port=8000,
        prefix="/files",
        max_size=None,
        expire_after=timedelta(days=1),
        sliding_expiry=False,
        keep_for=None,
        sweep_every=timedelta(days=1),
        fsync="completion",
        record_dir=None,
        sharded=False,
        finished_dir=None,
        idle_timeout=60.0,
        minimum_speed=None,
        max_requests=None,
        max_requests_per_upload=32,
        max_uploads=None,
        max_header_size=64 * 1024,
        max_metadata_size=16 * 1024,
        max_sources=1000,
        grace=10,
        root_path="",
        page=True,
        access_log=False,
        log_level="warning",
        metrics=False,
        tracing=False,
        extensions="",
        downloads=False,
        remove_partials=False,
        absolute_location=False,
        trusted_proxies="",
        s3_bucket=None,
        s3_prefix="uploads/",
        s3_endpoint=None,
        s3_region=None,
        s3_part_size=10 * 1024**2,
        s3_memory=256 * 1024**2,
    )


GIVEN = {
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("9000", 9000),
    "prefix": ("/up", "/up"),
    "max-size": ("5GiB", 5 * 1024**3),
    "expire-after": ("7d", timedelta(days=7)),
    "keep-for": ("90d", timedelta(days=90)),
    "sweep-every": ("90m", timedelta(minutes=90)),
    "fsync": ("commit", "commit"),
    "idle-timeout": ("2.5", 2.5),
    "minimum-speed": ("10KiB", 10 * 1024),
    "max-requests": ("500", 500),
    "max-requests-per-upload": ("4", 4),
    "max-uploads": ("1000", 1000),
    "max-header-size": ("8KiB", 8 * 1024),
    "max-metadata-size": ("2KiB", 2 * 1024),
    "max-sources": ("20", 20),
    "extensions": ("creation, termination", "creation, termination"),
    "grace": ("30", 30),
    "log-level": ("debug", "debug"),
    "root-path": ("/proxy/", "/proxy"),
    "trusted-proxies": ("127.0.0.1, 10.0.0.0/8", "127.0.0.1, 10.0.0.0/8"),
    "s3-bucket": ("bucket", "bucket"),
    "s3-prefix": ("tus/", "tus/"),
    "s3-endpoint": ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    "s3-region": ("eu-central-1", "eu-central-1"),
    "s3-part-size": ("5MiB", 5 * 1024**2),
    "s3-memory": ("64MiB", 64 * 1024**2),
}
ALL = Settings(
    directory=Path("uploads"),
    page=False,
    access_log=True,
    metrics=True,
    tracing=True,
    downloads=True,
    remove_partials=True,
    sliding_expiry=True,
    absolute_location=True,
    **{name.replace("-", "_"): value for name, (_, value) in GIVEN.items()},  # type: ignore[arg-type]
)


def test_every_option_arrives(served: list[Settings]) -> None:
    options = [text for name, (given, _) in GIVEN.items() for text in (f"--{name}", given)]

    on = (
        "--no-page",
        "--access-log",
        "--metrics",
        "--tracing",
        "--downloads",
        "--remove-partials",
        "--absolute-location",
        "--sliding-expiry",
    )
    result = serve(*options, *on)

    assert (result.exit_code, served) == (0, [ALL])


def test_every_option_of_the_files_arrives(served: list[Settings]) -> None:
    placed = Settings(directory=Path("here"), record_dir=Path("r"), sharded=True, finished_dir=Path("f"))

    typed = serve("here", "--record-dir", "r", "--sharded", "--finished-dir", "f")
    told = serve(TUS_DIR="here", TUS_RECORD_DIR="r", TUS_SHARDED="1", TUS_FINISHED_DIR="f")

    assert (typed.exit_code, told.exit_code, served) == (0, 0, [placed, placed])


def test_every_option_can_come_from_the_environment(served: list[Settings]) -> None:
    variables = {f"TUS_{name.upper().replace('-', '_')}": given for name, (given, _) in GIVEN.items()}

    switches = {"TUS_PAGE": "false", "TUS_ACCESS_LOG": "1", "TUS_DOWNLOADS": "1", "TUS_METRICS": "1"}
    switches |= {
        "TUS_TRACING": "1",
        "TUS_ABSOLUTE_LOCATION": "1",
        "TUS_REMOVE_PARTIALS": "1",
        "TUS_SLIDING_EXPIRY": "1",
    }
    result = serve(**variables, **switches, TUS_DIR="there")

    assert (result.exit_code, served) == (0, [evolve(ALL, directory=Path("there"))])
    assert {name.replace("-", "_") for name in OPTIONS} == {
        attribute.name for attribute in fields(Settings) if attribute.name != "directory"
    }


def test_what_is_typed_counts_more_than_the_environment(served: list[Settings]) -> None:
    serve("here", "--port", "1", TUS_PORT="2", TUS_DIR="there")

    assert (served[0].port, served[0].directory) == (1, Path("here"))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1048576", 1048576),
        ("500B", 500),
        ("500b", 500),
        ("10K", 10_000),
        ("10kB", 10_000),
        ("500M", 500_000_000),
        ("500MB", 500_000_000),
        ("500 MB", 500_000_000),
        ("5GiB", 5 * 1024**3),
        ("5gib", 5 * 1024**3),
        ("5Gi", 5 * 1024**3),
        ("2T", 2 * 10**12),
        (" 7 ", 7),
        (str(2**63 - 1), 2**63 - 1),
    ],
)
def test_sizes(served: list[Settings], text: str, size: int) -> None:
    result = serve("--max-size", text)

    assert (result.output, served[0].max_size) == ("", size)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("24 H", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("36500d", timedelta(days=36500)),
        ("never", None),
        ("Never", None),
    ],
)
def test_durations(served: list[Settings], text: str, duration: timedelta | None) -> None:
    result = serve("--expire-after", text)

    assert (result.output, served[0].expire_after) == ("", duration)


# --- used wrongly ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--max-size", "much"), "'much' is no size; expected for example 500MB, 5GiB or 1048576"),
        (("--max-size", "5XB"), "expected for example 500MB"),
        (("--max-size", "-5"), "expected for example 500MB"),
        (("--max-size", "1.5G"), "expected for example 500MB"),
        (("--max-size", ""), "expected for example 500MB"),
        (("--max-size", "9" * 5000), "expected for example 500MB"),
        (("--max-size", "0"), "'0' is out of range; expected 1 to 9223372036854775807 bytes"),
        (("--max-size", "9999999T"), "out of range"),
        (("--sweep-every", "0s"), "'0s' is out of range; expected 1s at least, or never"),
        (
            ("--expire-after", "soon"),
            "'soon' is no duration; expected for example 90s, 30m, 24h, 7d or never",
        ),
        (("--expire-after", "90"), "expected for example 90s"),
        (("--expire-after", "-1d"), "expected for example 90s"),
        (("--expire-after", "36501d"), "expected 36500d at the most, or never"),
        (("--expire-after", "999999999999d"), "expected 36500d at the most, or never"),
        (("--port", "65536"), "'--port'"),
        (("--port", "http"), "'--port'"),
        (("--fsync", "always"), "'--fsync'"),
        (("--idle-timeout", "0"), "'--idle-timeout'"),
        (("--idle-timeout", "nan"), "idle_timeout: expected a number"),
        (("--grace", "0"), "'--grace'"),
        (("--max-requests-per-upload", "0"), "'--max-requests-per-upload'"),
        (("--max-header-size", "1000"), "max_header_size: expected a whole number from 1024"),
        (("--max-sources", "none"), "'--max-sources'"),
        (("--extensions", "creation,undoing"), "extensions: undoing not known; there are creation, "),
        (("--extensions", "concatenation"), "extensions: concatenation needs creation"),
        (("--prefix", "/{x}"), "path_prefix: expected a path without parameters"),
        (("--prefix", "/health"), "path_prefix: '/health' is taken by the server itself"),
        (("--prefix", "page/"), "path_prefix: 'page/' is taken by the server itself"),
        (("--speed", "fast"), "--speed"),
        ((__file__,), "is a file"),
        (("one", "two"), "two"),
        (("--s3-prefix", "up/"), "--s3-prefix means nothing without --s3-bucket."),
        (("here", "--s3-bucket", "b"), "in DIRECTORY or in --s3-bucket, not in both."),
        (("--sharded", "--s3-bucket", "b"), "--sharded means nothing with --s3-bucket."),
        (("--finished-dir", "f", "--s3-bucket", "b"), "--finished-dir means nothing with --s3-bucket."),
        (("here", "--record-dir", "here/below"), "expected none to be, or lie in, another"),
        (("--s3-bucket", "b", "--s3-part-size", "5MB"), "part_size: expected a whole number from 5242880 to"),
        (("--s3-bucket", "b", "--s3-endpoint", "nowhere"), "Invalid endpoint: nowhere"),
        (("--s3-bucket", "b", "--s3-memory", "0"), "'0' is out of range"),
    ],
    ids=lambda case: " ".join(case)[:30] if isinstance(case, tuple) else "",
)
def test_what_cannot_be_is_explained(
    served: list[Settings], arguments: tuple[str, ...], expected: str
) -> None:
    """In one sentence, not with a traceback."""
    result = serve(*arguments)

    assert (result.exit_code, served) == (2, [])
    assert expected in said(result)
    assert "Traceback" not in result.output


def test_so_is_what_is_wrong_in_the_environment(served: list[Settings]) -> None:
    result = serve(TUS_MAX_SIZE="much")

    assert (result.exit_code, served) == (2, [])
    assert "'much' is no size" in said(result)


@pytest.mark.parametrize("missing", ["uvicorn", "httptools"])
def test_without_the_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delitem(sys.modules, "litestar_tus.server")
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "httptools":
        for name in [name for name in sys.modules if name.startswith("uvicorn")]:
            monkeypatch.delitem(sys.modules, name)

    result = serve("--port", "0")

    assert result.exit_code == 1
    assert said(result).strip() == "Error: The server is not installed: pip install 'litestar-tus[server]'"


def test_another_missing_module_is_not_mistaken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice would not help."""
    monkeypatch.delitem(sys.modules, "litestar_tus.server")
    monkeypatch.setitem(sys.modules, "litestar_tus.plugin", None)

    with pytest.raises(ModuleNotFoundError, match=r"litestar_tus\.plugin"):
        serve("--port", "0")


def test_the_help_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "litestar_tus.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    assert serve("--help").exit_code == 0


def test_without_prometheus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "litestar_tus.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    result = serve("--metrics")

    assert result.exit_code == 1
    assert (
        said(result).strip() == "Error: Metrics are not installed: pip install 'litestar-tus[server,metrics]'"
    )


def test_without_opentelemetry_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "litestar_tus.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    result = serve("--tracing")

    assert result.exit_code == 1
    assert (
        said(result).strip() == "Error: Traces are not installed: pip install 'litestar-tus[server,tracing]'"
    )
