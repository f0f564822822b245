from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.cipher_groups import (
    SUITES,
    KeyExchange,
    advances,
    after_power_cycle,
    after_success,
    iana_name,
    is_known,
    is_tls13,
    key_exchange_of,
    next_group,
    openssl_name,
    start_of_connection,
)
from fleetsim.core.failure import Failure, Kind, Phase, alert, s3, verify
from fleetsim.core.settings import AdvanceOn, FallbackPolicy, GroupMemory, StepBack

WINC = {
    "AES128-SHA": "TLS_RSA_WITH_AES_128_CBC_SHA",
    "AES128-SHA256": "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "DHE-RSA-AES128-SHA": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    "DHE-RSA-AES128-SHA256": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "DHE-RSA-AES128-GCM-SHA256": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "AES256-SHA": "TLS_RSA_WITH_AES_256_CBC_SHA",
    "AES256-SHA256": "TLS_RSA_WITH_AES_256_CBC_SHA256",
    "DHE-RSA-AES256-SHA": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    "DHE-RSA-AES256-SHA256": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    "ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "ECDHE-RSA-AES256-SHA": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-ECDSA-AES128-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
}
DEFAULT = FallbackPolicy()


@pytest.mark.parametrize(("openssl", "iana"), WINC.items())
def test_module_suites_are_known(openssl: str, iana: str) -> None:
    """The sixteen suites of the reference device's module are in the table."""
    assert iana_name(openssl) == iana
    assert openssl_name(iana) == openssl


def test_names_are_unique() -> None:
    """No suite occurs twice under either name."""
    assert len({suite.openssl for suite in SUITES}) == len(SUITES)
    assert len({suite.iana for suite in SUITES}) == len(SUITES)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.openssl)
def test_names_translate_both_ways(suite: object) -> None:
    """OpenSSL to IANA and back is the identity on the table."""
    name = getattr(suite, "openssl", "")
    assert openssl_name(iana_name(name)) == name
    assert is_known(name)
    assert is_tls13(name) == (key_exchange_of(name) is KeyExchange.TLS13)


def test_unknown_suite_keeps_its_name() -> None:
    """A report can print whatever was negotiated."""
    assert iana_name("GOST-WHATEVER") == "GOST-WHATEVER"
    assert openssl_name("TLS_GOST_WHATEVER") == "TLS_GOST_WHATEVER"
    assert not is_known("GOST-WHATEVER")
    assert not is_tls13("GOST-WHATEVER")
    with pytest.raises(KeyError):
        key_exchange_of("GOST-WHATEVER")


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ("AES128-SHA", KeyExchange.RSA),
        ("DHE-RSA-AES256-SHA", KeyExchange.DHE_RSA),
        ("ECDHE-RSA-AES128-SHA256", KeyExchange.ECDHE_RSA),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", KeyExchange.ECDHE_ECDSA),
        ("TLS_AES_128_GCM_SHA256", KeyExchange.TLS13),
    ],
)
def test_key_exchange(suite: str, expected: KeyExchange) -> None:
    """The key exchange follows from the suite (RFC 5246 A.5, RFC 5289, RFC 8446)."""
    assert key_exchange_of(suite) is expected


ANY, TLS, CIPHER, NEVER = (
    AdvanceOn.ANY_FAILURE,
    AdvanceOn.TLS_FAILURE,
    AdvanceOn.CIPHER_FAILURE,
    AdvanceOn.NEVER,
)


@pytest.mark.parametrize(
    ("failure", "moved_by"),
    [
        pytest.param(alert("handshake_failure"), {ANY, TLS, CIPHER}, id="alert 40"),
        pytest.param(alert("insufficient_security"), {ANY, TLS, CIPHER}, id="alert 71"),
        pytest.param(alert("protocol_version"), {ANY, TLS, CIPHER}, id="alert 70"),
        pytest.param(
            Failure(Kind.TLS_NO_SHARED_CIPHER, Phase.TLS), {ANY, TLS, CIPHER}, id="none"
        ),
        pytest.param(alert("certificate_expired"), {ANY, TLS}, id="alert 45"),
        pytest.param(alert("certificate_required"), {ANY, TLS}, id="alert 116"),
        pytest.param(alert("unknown_ca"), {ANY, TLS}, id="alert 48"),
        pytest.param(verify("cert_has_expired"), {ANY, TLS}, id="our verdict"),
        pytest.param(Failure(Kind.TLS_RESET, Phase.TLS), {ANY, TLS}, id="reset"),
        pytest.param(Failure(Kind.TLS_TIMEOUT, Phase.TLS), {ANY, TLS}, id="timeout"),
        pytest.param(Failure(Kind.TCP_REFUSED, Phase.TCP), {ANY}, id="refused"),
        pytest.param(Failure(Kind.DNS_NOT_FOUND, Phase.DNS), {ANY}, id="no such name"),
        pytest.param(Failure(Kind.TCP_LOCAL_PORTS, Phase.TCP), set(), id="own ports"),
        pytest.param(Failure(Kind.TCP_LOCAL_FILES, Phase.TCP), set(), id="own files"),
        pytest.param(s3("SlowDown"), set(), id="S3 error"),
        pytest.param(Failure(Kind.HTTP_RESET, Phase.WAIT), set(), id="lost response"),
        pytest.param(Failure(Kind.HTTP_TIMEOUT, Phase.SEND), set(), id="lost request"),
        pytest.param(
            Failure("tls.alert.handshake_failure", Phase.WAIT),
            set(),
            id="alert on an open connection",
        ),
        pytest.param(
            Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE), set(), id="no attempt at all"
        ),
        pytest.param(Failure(Kind.RUN_STOPPED, Phase.RUN), set(), id="run stopped"),
    ],
)
def test_advances(failure: Failure, moved_by: set[AdvanceOn]) -> None:
    """Only failed connection attempts move the ladder, as far as the policy says."""
    found = {
        advance_on
        for advance_on in AdvanceOn
        if advances(failure, FallbackPolicy(advance_on=advance_on))
    }
    assert found == moved_by


def test_documented_course() -> None:
    """By default: group 1, 2, 3, then 3 for good, and 1 again after power-on."""
    refused = Failure(Kind.TCP_REFUSED, Phase.TCP)
    course = [after_power_cycle(2, DEFAULT)]
    for _ in range(4):
        course.append(next_group(course[-1], 3, refused, DEFAULT))
    course.append(after_success(course[-1], DEFAULT))
    course.append(start_of_connection(course[-1], DEFAULT))
    assert course == [0, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("policy", "success", "power_cycle", "connection"),
    [
        pytest.param(DEFAULT, 2, 0, 2, id="documented"),
        pytest.param(replace(DEFAULT, memory=GroupMemory.FOREVER), 2, 2, 2, id="ever"),
        pytest.param(
            replace(DEFAULT, memory=GroupMemory.CONNECTION), 2, 0, 0, id="connection"
        ),
        pytest.param(
            replace(DEFAULT, step_back=StepBack.AFTER_SUCCESS), 0, 0, 2, id="step back"
        ),
    ],
)
def test_memory(
    policy: FallbackPolicy, success: int, power_cycle: int, connection: int
) -> None:
    """Memory and step back decide where a device at group 3 goes on."""
    assert after_success(2, policy) == success
    assert after_power_cycle(2, policy) == power_cycle
    assert start_of_connection(2, policy) == connection


policies = st.builds(
    FallbackPolicy,
    advance_on=st.sampled_from(AdvanceOn),
    memory=st.sampled_from(GroupMemory),
    step_back=st.sampled_from(StepBack),
)
failures = st.builds(
    Failure,
    st.sampled_from(
        [
            Kind.TLS_NO_SHARED_CIPHER,
            Kind.TCP_REFUSED,
            "tls.alert.handshake_failure",
            "tls.verify.cert_has_expired",
            "s3.AccessDenied",
            Kind.UNCLASSIFIED,
        ]
    ),
    st.sampled_from(Phase),
)


@given(
    count=st.integers(1, 6),
    start=st.integers(0, 5),
    policy=policies,
    course=st.lists(failures, max_size=20),
)
def test_ladder_terminates(
    count: int, start: int, policy: FallbackPolicy, course: list[Failure]
) -> None:
    """Failures move at most one group at a time, never back, never past the end."""
    position = min(start, count - 1)
    for failure in course:
        reached = next_group(position, count, failure, policy)
        assert position <= reached <= min(position + 1, count - 1)
        if not advances(failure, policy):
            assert reached == position
        position = reached


@given(position=st.integers(0, 5), failure=failures)
def test_never_never_moves(position: int, failure: Failure) -> None:
    """NEVER never moves."""
    policy = FallbackPolicy(advance_on=AdvanceOn.NEVER)
    assert next_group(position, 6, failure, policy) == position


@given(position=st.integers(0, 5), policy=policies)
def test_nothing_else_climbs(position: int, policy: FallbackPolicy) -> None:
    """Success, power-on and new connections keep the group or go to the first."""
    for move in (after_success, after_power_cycle, start_of_connection):
        assert move(position, policy) in {0, position}


@given(failure=failures)
def test_policies_are_nested(failure: Failure) -> None:
    """What moves a narrower policy moves every wider one."""
    moved = [
        advances(failure, FallbackPolicy(advance_on=advance_on))
        for advance_on in (NEVER, CIPHER, TLS, ANY)
    ]
    assert moved == sorted(moved)
