"""Tests of fleetsim.lab.s3_app: its settings. What it answers: tests/integration."""

import pytest

from fleetsim.core.settings import Credentials
from fleetsim.exceptions import InputError
from fleetsim.lab.object_store import MemoryStore
from fleetsim.lab.s3_app import S3Service, S3Settings

ACCOUNT = Credentials(access_key="AK", secret_key="hidden-secret")


def test_all_problems_at_once() -> None:
    """Every unusable setting is named, not only the first."""
    with pytest.raises(InputError) as caught:
        S3Settings(
            credentials=(
                ACCOUNT,
                ACCOUNT,
                Credentials(access_key="", secret_key="x"),
                Credentials(access_key="a/b", secret_key="hidden-secret"),
            ),
            buckets=("fleet", "Bad_Name"),
            region="é",
            max_object_bytes=0,
            min_part_bytes=-1,
            max_skew_s=float("nan"),
        )
    assert len(caught.value.problems) == 8
    assert "hidden" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    """Settings print without credentials."""
    assert "hidden" not in repr(S3Settings(credentials=(ACCOUNT,)))


async def test_buckets_are_made_once() -> None:
    """A bucket that the store has already is left as it is."""
    store = MemoryStore()
    store.create_bucket("fleet", 1.0)
    S3Service(
        S3Settings(credentials=(ACCOUNT,), buckets=("fleet", "other")),
        store,
        lambda: 2.0,
    )
    assert [b.created_unix_s for b in store.buckets.values()] == [1.0, 2.0]
