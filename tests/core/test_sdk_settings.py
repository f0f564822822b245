"""Settings of cohorts that upload through an SDK."""

import ssl
from dataclasses import replace

import pytest
from botocore.retries.standard import DEFAULT_MAX_ATTEMPTS as BOTOCORE_ATTEMPTS

from fleetsim.core.sdk_settings import (
    DEFAULT_MAX_ATTEMPTS,
    SDK_GROUP,
    SDK_TABLE,
    RetryMode,
    SdkSettings,
    sdk_profile,
)
from fleetsim.core.settings import AdvanceOn
from fleetsim.profiles import catalog
from fleetsim.transport.tls_context import check_group


def test_the_defaults_are_those_of_the_sdk() -> None:
    """Retry mode and attempts as botocore has them when nobody says anything."""
    assert SdkSettings().max_attempts == DEFAULT_MAX_ATTEMPTS[RetryMode.LEGACY] == 5
    assert DEFAULT_MAX_ATTEMPTS[RetryMode.STANDARD] == BOTOCORE_ATTEMPTS
    assert set(DEFAULT_MAX_ATTEMPTS) == set(RetryMode)


def test_the_group_is_what_the_standard_library_can_offer() -> None:
    """CPython's own OpenSSL knows every suite, and ours, which proves strandings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls12 = [suite for suite in SDK_GROUP.suites if not suite.startswith("TLS_")]
    context.set_ciphers("@SECLEVEL=2:" + ":".join(tls12))
    offered = [cipher["name"] for cipher in context.get_ciphers()]
    assert offered == list(SDK_GROUP.suites)
    rules = sdk_profile(catalog.load("canedge2").profile).tls
    assert check_group(SDK_GROUP, rules) == ()


@pytest.mark.parametrize("advance_on", AdvanceOn)
def test_an_sdk_never_falls_back(advance_on: AdvanceOn) -> None:
    """Whatever the firmware does, the SDK has one group; its card and timers stay."""
    profile = catalog.load("canedge2").profile
    profile = replace(
        profile, fallback=replace(profile.fallback, advance_on=advance_on)
    )
    made = sdk_profile(profile)
    assert made.cipher_tables == (SDK_TABLE,)
    assert made.fallback.advance_on is AdvanceOn.NEVER
    assert (made.card, made.retry, made.heartbeat_s) == (
        profile.card,
        profile.retry,
        profile.heartbeat_s,
    )
