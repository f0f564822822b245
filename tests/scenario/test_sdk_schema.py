"""Settings of the SDK as a scenario writes them."""

from typing import Any

import pytest
from aiobotocore.config import AioConfig
from boto3.s3.transfer import TransferConfig
from pydantic import ValidationError

from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.scenario.sdk_schema import SdkSpec, sdk_notes, sdk_settings


def test_what_is_left_out_is_what_the_sdk_does() -> None:
    """An empty map means the defaults of the AWS SDK for Python."""
    made = sdk_settings(SdkSpec())
    assert made == SdkSettings()
    transfer = TransferConfig()
    assert made.multipart_threshold_bytes == transfer.multipart_threshold
    assert made.multipart_chunksize_bytes == transfer.multipart_chunksize
    assert made.max_concurrency == transfer.max_concurrency
    config = AioConfig()
    assert made.connect_timeout_s == config.connect_timeout
    assert made.read_timeout_s == config.read_timeout
    assert made.max_pool_connections == config.max_pool_connections


@pytest.mark.parametrize(
    ("spec", "attempts"),
    [
        ({}, 5),
        ({"retry_mode": "standard"}, 3),
        ({"retry_mode": "adaptive"}, 3),
        ({"retry_mode": "standard", "max_attempts": 7}, 7),
    ],
    ids=["legacy", "standard", "adaptive", "given"],
)
def test_the_retry_mode_decides_the_attempts(
    spec: dict[str, Any], attempts: int
) -> None:
    """Unless they are written down."""
    assert sdk_settings(SdkSpec.model_validate(spec)).max_attempts == attempts


@pytest.mark.parametrize(
    "spec",
    [
        {"retry_mode": "never"},
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"multipart_chunksize": "1MiB"},
        {"max_pool_connections": 0},
        {"connect_timeout": "0s"},
        {"request_checksum_calculation": "always"},
        {"secret_key": "x"},
    ],
    ids=lambda spec: next(iter(spec)) + "=" + str(next(iter(spec.values()))),
)
def test_what_the_sdk_would_refuse_is_refused(spec: dict[str, Any]) -> None:
    """Out of range, unknown, or below the 5 MiB that S3 wants of a part."""
    with pytest.raises(ValidationError):
        SdkSpec.model_validate(spec)


def test_the_notes_name_cohorts_and_what_is_not_simulated() -> None:
    """One line per kind of settings; none when nobody uses the SDK."""
    assert list(sdk_notes({})) == []
    lines = list(
        sdk_notes({SdkSettings(): ["a", "b"], SdkSettings(max_attempts=2): ["c"]})
    )
    assert "(a, b)" in lines[0]
    assert "at most 5 attempts" in lines[0]
    assert "(c)" in lines[1]
    assert "at most 2 attempts" in lines[1]
    assert "cipher-group fallback" in lines[2]
