"""The command and a bucket: what it prints for the owner of one, and how it refuses one that will not do."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner, Result

from litestar_tus.cli import main
from tests.clients.peer import append, ask, create
from tests.clients.processes import Server
from tests.litestar_tus.nodes import key_of, node, running
from tests.tus_adapters.s3.servers import Server as Store
from tus_adapters.s3 import ACTIONS

SECONDS = 60  # in which a server that will not do has to be given up, on a busy machine


def run(*arguments: str, **env: str) -> Result:
    return CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)


# --- for the bucket's owner -----------------------------------------------------------------------


def test_the_policy_allows_all_that_is_needed_and_only_below_the_prefix() -> None:
    result = run("s3", "policy", "my-bucket", "--s3-prefix", "up/")

    objects, bucket = json.loads(result.stdout)["Statement"]
    assert sorted([*objects["Action"], *bucket["Action"]]) == sorted(ACTIONS)
    assert objects["Resource"] == "arn:aws:s3:::my-bucket/up/*"
    assert (bucket["Action"], bucket["Resource"]) == (["s3:ListBucket"], "arn:aws:s3:::my-bucket")
    assert bucket["Condition"] == {"StringLike": {"s3:prefix": "up/*"}}
    assert objects["Effect"] == bucket["Effect"] == "Allow"


def test_a_prefix_is_no_pattern() -> None:
    result = run("s3", "policy", "b", "--s3-prefix", "a*b?$/")

    resources = [statement["Resource"] for statement in json.loads(result.stdout)["Statement"]]
    assert resources == ["arn:aws:s3:::b/a${*}b${?}${$}/*", "arn:aws:s3:::b"]


@pytest.mark.parametrize(
    ("life", "days"), [("1s", 3), ("24h", 3), ("25h", 4), ("36h", 4), ("7d", 9), ("365d", 367)]
)
def test_the_lifecycle_rule_lets_uploads_live_as_long_as_they_may(life: str, days: int) -> None:
    (rule,) = json.loads(run("s3", "lifecycle", "--expire-after", life).stdout)["Rules"]

    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": days}
    assert (rule["Filter"], rule["Status"]) == ({"Prefix": "uploads/"}, "Enabled")


def test_they_know_the_servers_environment() -> None:
    environment = {"TUS_S3_BUCKET": "theirs", "TUS_S3_PREFIX": "up/", "TUS_EXPIRE_AFTER": "7d"}

    assert "arn:aws:s3:::theirs/up/*" in run("s3", "policy", **environment).stdout
    (rule,) = json.loads(run("s3", "lifecycle", **environment).stdout)["Rules"]
    assert rule["Filter"] == {"Prefix": "up/"}
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 9}


def test_there_is_no_rule_for_uploads_that_never_expire() -> None:
    result = run("s3", "lifecycle", "--expire-after", "never")

    assert result.exit_code == 2
    assert "never expire" in result.stderr


@pytest.mark.servers
def test_a_store_takes_the_rule(ministack_server: Store) -> None:
    configuration = json.loads(run("s3", "lifecycle").stdout)
    client = ministack_server.client()

    client.put_bucket_lifecycle_configuration(
        Bucket=ministack_server.bucket, LifecycleConfiguration=configuration
    )

    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=ministack_server.bucket)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    client.delete_bucket_lifecycle(Bucket=ministack_server.bucket)


@pytest.mark.parametrize(
    "arguments", [["serve", "--s3-bucket", "b"], ["s3", "policy", "b"], ["s3", "lifecycle"]]
)
def test_without_boto_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("tus_adapters.s3", "litestar_tus.backends.s3"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, name, None)

    result = run(*arguments)

    assert result.exit_code == 1
    assert result.stderr.strip() == (
        "Error: The S3 backend is not installed: pip install 'litestar-tus[server,s3]'"
    )


def test_a_profile_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = run("serve", "--s3-bucket", "b", AWS_PROFILE="nobody", AWS_CONFIG_FILE=str(tmp_path / "none"))

    assert result.exit_code == 2
    assert "nobody" in result.stderr
    assert "Traceback" not in result.output


# --- serving --------------------------------------------------------------------------------------


@pytest.fixture
def served(ministack_server: Store, tmp_path: Path) -> Iterator[Server]:
    with running(node(tmp_path, ministack_server)) as server:
        yield server


@pytest.mark.servers
def test_uploads_go_to_the_bucket(served: Server, ministack_server: Store) -> None:
    url = create(served.endpoint, 10)

    assert append(url, 0, b"helloworld").status == 204

    found = ministack_server.client().get_object(Bucket=ministack_server.bucket, Key=key_of(url))
    assert found["Body"].read() == b"helloworld"
    assert ask("DELETE", url).status == 204
    assert f"stored in s3://{ministack_server.bucket}/uploads/" in served.output()
    assert "botocore" not in served.output()
    served.terminate(within=15)


@pytest.mark.servers
def test_objects_are_what_their_clients_said(served: Server, ministack_server: Store) -> None:
    url = create(served.endpoint, 5, Upload_Metadata="filename YS9iLnBuZw==,filetype aW1hZ2UvcG5n")

    assert append(url, 0, b"hello").status == 204

    found = ministack_server.client().head_object(Bucket=ministack_server.bucket, Key=key_of(url))
    assert (found["ContentType"], found["ContentDisposition"]) == (
        "image/png",
        'attachment; filename="b.png"',
    )


@pytest.mark.servers
@pytest.mark.parametrize(
    ("store", "unfit", "said"),
    [
        # The other one makes buckets that are missing, and this one does not look at credentials.
        ("ministack", {"bucket": "not-there"}, "There is no bucket 'not-there'. It answered:"),
        ("ministack", {"endpoint": "http://127.0.0.1:1"}, "The store cannot be reached:"),
        ("seaweedfs", {"secret_key": "wrong"}, "The store does not accept the credentials. It answered:"),
    ],
    ids=["no bucket", "no store", "no rights"],
)
def test_a_bucket_that_will_not_do_is_refused_in_one_line(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, unfit: dict[str, str], said: str
) -> None:
    refused = node(tmp_path, evolve(request.getfixturevalue(f"{store}_server"), **unfit))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TUS_", "AWS_"))}

    done = subprocess.run(
        refused.command,
        env=clean | dict(refused.environment),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {said}"), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.servers
def test_so_are_missing_credentials(ministack_server: Store, tmp_path: Path) -> None:
    refused = node(tmp_path, ministack_server)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TUS_", "AWS_"))}
    nowhere = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}

    done = subprocess.run(
        refused.command, env=clean | nowhere, capture_output=True, text=True, timeout=SECONDS, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The store does not accept the credentials."), done.stderr
    assert done.stderr.count("\n") == 1
