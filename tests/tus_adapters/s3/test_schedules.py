"""Schedules: several nodes, several clients, and everything that can go wrong, thousands of times."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.architecture.sources import ROOT
from tests.tus_adapters.s3 import joining_schedule
from tests.tus_adapters.s3.joining_schedule import JoiningSchedule
from tests.tus_adapters.s3.oracle import Violation
from tests.tus_adapters.s3.schedule import Schedule, run_seed, traced
from tests.tus_adapters.s3.store import Store
from tus_adapters.s3._bucket import Extent, Part

BATCHES, BATCH = 20, 500


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """That the store fails is what this is about; tens of thousands of lines of log would say no more."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_nothing_is_lost_and_nothing_comes_twice(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        run_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(4))
def test_what_is_joined_is_what_was_sent(batch: int) -> None:
    for seed in range(batch * BATCH // 4, (batch + 1) * BATCH // 4):
        joining_schedule.run_seed(seed)


@given(st.randoms(use_true_random=False))
def test_what_is_joined_is_what_was_sent_in_a_schedule_that_can_be_made_smaller(random: Random) -> None:
    JoiningSchedule(random).run()


@given(st.randoms(use_true_random=False))
def test_nothing_is_lost_in_a_schedule_that_hypothesis_can_make_smaller(random: Random) -> None:
    Schedule(random).run()


@pytest.mark.slow
def test_the_same_seed_is_the_same_schedule() -> None:
    for seed in range(40):
        assert traced(seed) == traced(seed)
        assert joining_schedule.traced(seed) == joining_schedule.traced(seed)


@pytest.mark.slow
def test_the_same_seed_is_the_same_schedule_in_another_process() -> None:
    seeds = range(8)
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.tus_adapters.s3.schedule", *map(str, seeds)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1] == "".join(f"{line}\n" for seed in seeds for line in traced(seed))


class ForgetfulStore(Store):
    """Drops an object now and then that it has acknowledged."""

    def put(self, key: str, content: bytes, *args, **kwargs) -> str:
        etag = super().put(key, content, *args, **kwargs)
        if ".pending." in key and self.requests["put"] % 3 == 0:
            del self.objects[key]
        return etag


class StaleStore(Store):
    """Keeps the first content of an object that is put again."""

    def put(self, key: str, content: bytes, *args, **kwargs) -> str:
        there = self.objects.get(key)
        etag = super().put(key, content, *args, **kwargs)
        if there is not None and self.requests["put"] % 5 == 0:
            self.objects[key] = there
        return etag


class ShufflingStore(Store):
    """Assembles parts in another order than it was told."""

    def complete(self, key: str, multipart: str, parts: Sequence[Part]) -> str:
        upload = self.uploads[multipart]
        if len(parts) > 2 and upload.ended is None:
            one, two = parts[0].number, parts[1].number
            contents = upload.parts[one][0], upload.parts[two][0]
            upload.parts[two] = contents[0], upload.parts[two][1]
            upload.parts[one] = contents[1], upload.parts[one][1]
        return super().complete(key, multipart, parts)


class EmptyPromisesStore(Store):
    """Says that it has completed an upload, and has not."""

    def complete(self, key: str, multipart: str, parts: Sequence[Part]) -> str:
        etag = super().complete(key, multipart, parts)
        self.objects.pop(key)
        return etag


@pytest.mark.parametrize(
    "broken",
    [partial(Store, conditions=False), ForgetfulStore, StaleStore, ShufflingStore, EmptyPromisesStore],
    ids=["no conditions", "forgetful", "stale", "shuffling", "empty promises"],
)
def test_the_oracle_notices_a_store_that_is_broken(broken) -> None:
    with pytest.raises(Violation):
        for seed in range(200):
            run_seed(seed, make_store=broken)


class MiscountingStore(Store):
    """Copies ranges from one byte further."""

    def copy_part(self, key: str, multipart: str, number: int, source: Extent, *args, **kwargs) -> str:
        if source.stop < source.size:
            source = evolve(source, start=source.start + 1, stop=source.stop + 1)
        return super().copy_part(key, multipart, number, source, *args, **kwargs)


class LateCopiesStore(Store):
    """Says of some parts that they are copied, and has only begun to."""

    def copy_part(self, key: str, multipart: str, number: int, source: Extent, *args, **kwargs) -> str:
        etag = super().copy_part(key, multipart, number, source, *args, **kwargs)
        if number % 3 == 0:
            content, _ = self.uploads[multipart].parts[number]
            self.uploads[multipart].parts[number] = bytes(len(content)), etag
        return etag


@pytest.mark.parametrize(
    "broken",
    [MiscountingStore, LateCopiesStore, ShufflingStore, EmptyPromisesStore],
    ids=["miscounting", "late", "shuffling", "empty promises"],
)
def test_the_oracle_notices_a_store_that_joins_badly(broken) -> None:
    with pytest.raises(Violation):
        for seed in range(100):
            joining_schedule.run_seed(seed, make_store=broken)
