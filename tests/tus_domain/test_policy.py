"""Policy: what a server allows."""

import pytest

from tus_domain.checksum import ALGORITHMS
from tus_domain.errors import ExtensionDisabledError
from tus_domain.policy import Policy
from tus_domain.values import MAX_LENGTH, Extension


def test_by_default_everything_is_allowed() -> None:
    policy = Policy()

    assert policy.max_size == MAX_LENGTH
    assert policy.lifetime is None
    assert policy.extensions == set(Extension)
    assert policy.algorithms == ALGORITHMS
    assert not policy.remove_partials
    assert policy.max_sources == 1000


def test_by_default_a_killed_server_loses_one_second_or_64_mib() -> None:
    assert Policy().checkpoint_seconds == 1
    assert Policy().checkpoint_bytes == 67_108_864


@pytest.mark.parametrize("extension", Extension)
def test_an_extension_is_required(extension: Extension) -> None:
    Policy(extensions=frozenset({extension})).require(extension)

    with pytest.raises(ExtensionDisabledError) as refusal:
        Policy(extensions=frozenset(Extension) - {extension}).require(extension)

    assert refusal.value.extension is extension
    assert str(refusal.value) == f"The extension '{extension.value}' is not offered here."
