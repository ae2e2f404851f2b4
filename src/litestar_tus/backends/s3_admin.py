"""What the owner of a bucket sets: who may do what in it, and what it clears up by itself."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from tus_adapters.s3 import ACTIONS

__all__ = ["lifecycle", "policy"]

_DAY = timedelta(days=1)
_MARGIN = 2 * _DAY  # for bodies that are under way when their upload expires, and to be completed after that
_ON_THE_BUCKET = ("s3:ListBucket",)


def policy(bucket: str, key_prefix: str) -> dict[str, Any]:
    """The IAM policy with the least that ``S3StorageBackend`` needs."""
    arn = f"arn:aws:s3:::{bucket}"
    pattern = f"{_literal(key_prefix)}*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [action for action in ACTIONS if action not in _ON_THE_BUCKET],
                "Resource": f"{arn}/{pattern}",
            },
            {
                "Effect": "Allow",
                "Action": [action for action in ACTIONS if action in _ON_THE_BUCKET],
                "Resource": arn,
                "Condition": {"StringLike": {"s3:prefix": pattern}},
            },
        ],
    }


def lifecycle(key_prefix: str, life: timedelta) -> dict[str, Any]:
    """The lifecycle configuration that frees the parts of uploads which nobody goes on with.

    :param life: how long an unfinished upload may live. A part that is freed earlier is an upload lost.
    """
    return {
        "Rules": [
            {
                "ID": "litestar-tus-unfinished",
                "Status": "Enabled",
                "Filter": {"Prefix": key_prefix},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": -(-(life + _MARGIN) // _DAY)},
            }
        ]
    }


def _literal(text: str) -> str:
    """``text`` in a policy, where these characters are wildcards or begin a variable."""
    return re.sub(r"[*?$]", r"${\g<0>}", text)
