"""What proves the README's code blocks can tell right from wrong."""

import textwrap
from pathlib import Path

import pytest

from tests.house.blocks import Block, blocks, prove
from tests.house.commands import BlockError, inside

APP = """# app.py
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
"""
# Takes the place of litestar-tus, whose own behaviour is tested elsewhere.
BROKEN = "raise SystemExit(3)"

RIGHT = [
    ("python", "import sys\nassert sys.argv"),
    ("python", APP),
    ("sh", "make serve"),
    ("sh", "make serve SERVE_ARGS='--port 9000'\n\n# a comment\nmake test check"),
    ("sh", "pip install litestar-tus 'litestar-tus[s3,server]>=1' && python -m pip install -e '.[testing]'"),
    ("sh", "litestar-tus --help"),
    ("sh", "pip \\\n  install granian"),
    ("sh", "/opt/somewhere/bin/pip install 'litestar-tus[s3]'"),
    ("sh", "docker build --tag x ."),
    ("sh", "make test > log.txt"),
    ("bash", "for x in 1 2; do echo $x | cat > y; done"),
    ("console", "$ make test\n=== 3 passed ===\n$ make check"),
    ("json", '{"a": [1, null]}'),
    ("toml", "[a]\nb = 1"),
    ("http", "PATCH /files/a1 HTTP/1.1\nTus-Resumable: 1.0.0\n\nHTTP/1.1 204 No Content\nUpload-Offset: 5"),
    ("nginx", "location /files/ {  # ours\n    proxy_pass http://127.0.0.1:8000;\n}"),
    ("js", 'import * as tus from "tus-js-client"\nnew tus.Upload(file, {}).start()'),
    ("text", "anything"),
]
WRONG = [
    ("python", "import missing_module"),
    ("python", "import warnings\nwarnings.warn('x', DeprecationWarning)"),
    ("python", "assert False"),
    ("sh", "make serves"),
    ("sh", "make serve OPTIONS=1"),
    ("sh", "pip install 'litestar-tus[s4]'"),
    ("sh", "pip install '.[s4]'"),
    ("sh", "pip install 'litestar-tus[s3'"),
    ("sh", "pip download litestar-tus"),
    ("sh", "make test | tail"),
    ("sh", "make test > /etc/log.txt"),
    ("sh", "make tests > log.txt"),
    ("sh", "rm -rf /srv/uploads"),
    ("sh", "mkdir ../uploads"),
    ("sh", "make test && wget http://127.0.0.1:8000"),
    ("sh", "TUS_PORT=1"),
    ("sh", "litestar-tus --no-such-option"),
    ("sh", "litestar-tus serve --no-such-option"),
    ("sh", "uvicorn nowhere:app"),
    ("sh", "litestar --app nowhere:app tus list"),
    ("sh", "/opt/somewhere/bin/pip install 'litestar-tus[s4]'"),
    ("bash", "for x in 1 2; echo"),
    ("sh", "make test \\"),
    ("console", "make test"),
    ("console", "$ make tests"),
    ("json", "{'a': 1}"),
    ("toml", "a: 1"),
    ("http", "PATCH /files/a1\nTus-Resumable: 1.0.0"),
    ("http", "PATCH /files/a1 HTTP/1.1\nTus-Resumable 1.0.0"),
    ("http", "HTTP/1.1 999 No"),
    ("nginx", "location / {\nproxy_pass x;"),
    ("nginx", "proxy_pass x"),
    ("nginx", "}\nlocation / {"),
    ("js", "const = 1"),
    ("cobol", ""),
    ("", "make test"),
]


@pytest.mark.parametrize(("language", "text"), RIGHT)
def test_a_right_block_passes(language: str, text: str, tmp_path: Path) -> None:
    prove(Block(1, language, text), tmp_path)


@pytest.mark.parametrize(("language", "text"), WRONG)
def test_a_wrong_block_fails(language: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(BlockError):
        prove(Block(1, language, text), tmp_path)


@pytest.mark.servers
@pytest.mark.parametrize(
    "command", ["uvicorn app:app", "granian --interface asgi app:app", "hypercorn app:app"]
)
def test_a_server_is_started_with_the_file_of_an_earlier_block(command: str, tmp_path: Path) -> None:
    prove(Block(1, "python", APP), tmp_path)
    prove(Block(9, "sh", command), tmp_path)


@pytest.mark.servers
def test_a_server_that_fails_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(BROKEN)

    with pytest.raises(BlockError, match="ended at once"):
        prove(Block(1, "sh", "uvicorn app:app"), tmp_path)


@pytest.mark.servers
def test_our_server_is_started(tmp_path: Path) -> None:
    prove(Block(1, "sh", "TUS_PREFIX=/up litestar-tus serve ./uploads --port 8000"), tmp_path)


def test_our_server_is_started_where_it_does_no_harm(tmp_path: Path) -> None:
    assert inside(["serve", "/srv/uploads", "--root-path", "/a"], tmp_path) == [
        "serve",
        str(tmp_path / "srv/uploads"),
        "--root-path",
        "/a",
    ]
    assert inside(["serve", "./uploads"], tmp_path) == ["serve", "./uploads"]
    assert inside(["serve"], tmp_path) == ["serve"]


def test_blocks_are_found_with_their_lines() -> None:
    document = textwrap.dedent(
        """\
        # Title
        ```python
        x = 1
        ```
        - in a list
          ````console
          $ make
          ```
          ````
        ~~~
        ~~~
        """
    )

    assert list(blocks(document)) == [
        Block(2, "python", "x = 1\n"),
        Block(6, "console", "$ make\n```\n"),
        Block(10, "", "\n"),
    ]


def test_a_block_without_an_end_is_an_error() -> None:
    with pytest.raises(BlockError):
        list(blocks("```python\nx = 1\n"))
