"""The taxonomy: closed where it is ours, open where a registry is somebody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.failure import (
    KINDS,
    OPEN_FAMILIES,
    Failure,
    Kind,
    Phase,
    alert,
    is_kind,
    s3,
    verify,
)


def test_kinds_are_never_renamed() -> None:
    """Values are written to results: this list may only grow."""
    for kind in (
        "dns.not_found",
        "dns.timeout",
        "dns.failed",
        "tcp.refused",
        "tcp.reset",
        "tcp.timeout",
        "tcp.unreachable",
        "tcp.local_ports_exhausted",
        "tcp.local_files_exhausted",
        "tls.no_shared_cipher",
        "tls.reset",
        "tls.timeout",
        "tls.protocol",
        "tls.own_certificate",
        "http.timeout",
        "http.reset",
        "http.malformed",
        "http.status",
        "device.no_trusted_certificates",
        "device.card_full",
        "device.power_cycle",
        "device.bad_configuration",
        "device.bad_firmware",
        "run.stopped",
        "unclassified",
    ):
        assert kind in KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_constants_are_members(kind: str) -> None:
    """Everything that has a name here is a kind, and belongs to no open family."""
    assert is_kind(kind)
    assert not kind.startswith(OPEN_FAMILIES)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("tcp", id="phase without cause"),
        pytest.param("tcp.melted", id="unknown cause"),
        pytest.param("tls.alert.", id="nameless alert"),
        pytest.param("tls.alert.Handshake", id="upper case alert"),
        pytest.param("tls.verify.a b", id="space"),
        pytest.param("s3.", id="no code"),
        pytest.param("s3.No_Such", id="code with underscore"),
        pytest.param("s3.Slow\n", id="line end"),
        pytest.param("unclassified ", id="trailing space"),
    ],
)
def test_what_is_no_kind(text: str) -> None:
    """Texts beside the taxonomy are told from it."""
    assert not is_kind(text)


@given(code=st.text(max_size=200))
def test_any_error_code_becomes_a_kind(code: str) -> None:
    """Whatever a server calls its error, the kind is well formed and bounded."""
    failure = s3(code, "words")
    assert is_kind(failure.kind)
    assert len(failure.kind) <= 67
    assert (failure.phase, failure.detail) == (Phase.WAIT, "words")


def test_families() -> None:
    """Alerts and verdicts happen in the TLS phase and keep the registry's name."""
    assert alert("unknown_ca") == Failure("tls.alert.unknown_ca", Phase.TLS)
    assert verify("cert_has_expired").kind == "tls.verify.cert_has_expired"
    assert is_kind(alert("unknown_ca").kind)
    assert s3("SlowDown").kind == "s3.SlowDown"
    assert Kind.UNCLASSIFIED == "unclassified"
