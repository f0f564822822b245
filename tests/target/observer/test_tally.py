from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.observed import Refusal
from fleetsim.target.observer.seen import Seen, UnreadableLineError
from fleetsim.target.observer.tally import Own, Tallied, device_of, tally

A, B, OTHER = "0A0A0A0A", "0B0B0B0B", "0C0C0C0C"
OWN = Own(
    bucket="fleet",
    devices=frozenset({A, B}),
    addresses=frozenset({"192.0.2.1"}),
    begin_unix_s=100.0,
    end_unix_s=200.0,
)


def put(device: str = A, **changes: object) -> Seen:
    """A PUT of a device."""
    values: dict[str, object] = {
        "unix_s": 150.0,
        "peer": "192.0.2.1:5",
        "method": "PUT",
        "uri": f"/fleet/{device}/00000001/00000001-00000000.MF4",
        "status": 200,
    }
    return Seen(**(values | changes))  # type: ignore[arg-type]  # a test writes fields


def failed(kind: str, peer: str = "192.0.2.1:5", **changes: object) -> Seen:
    """A handshake that failed."""
    return Seen(
        unix_s=150.0,
        peer=peer,
        result=kind,
        **changes,  # type: ignore[arg-type]  # likewise
    )


def count(*lines: Seen | str | None) -> Tallied:
    """Tally; a text stands for a line that cannot be read."""

    def read(line: str) -> Seen | None:
        found = lines[int(line)]
        if isinstance(found, str):
            raise UnreadableLineError(found)
        return found

    return tally(map(str, range(len(lines))), read, OWN)


def test_requests_and_their_handshakes() -> None:
    """One handshake a connection, as many requests as there are."""
    found = count(
        put(),
        put(is_first=False),
        put(B, resumed=True),
        put(method="GET", status=304, is_first=False),
        put(status=503, is_first=False),
        put(status=0, is_first=False),
    )
    assert (found.handshakes.completed, found.handshakes.resumed) == (2, 1)
    assert found.handshakes.refused == {}
    assert (found.requests.answered, found.requests.stored) == (5, 3)
    assert found.requests.by_status == {"200": 3, "304": 1, "503": 1}
    assert found.requests.failed == 1
    assert found.others == 0


def test_other_clients_are_left_out() -> None:
    """By key, by certificate, by address, by time; counted, never hidden."""
    found = count(
        put(),
        put(OTHER),
        put(uri="/fleet?list-type=2"),
        put(uri="/other/" + A),
        put(unix_s=90.0),
        put(unix_s=203.0),
        failed("tls.reset", "198.51.100.9:5"),
        failed("tls.verify.cert_revoked", subject=f"CN={OTHER}"),
    )
    assert found.requests.answered == found.handshakes.completed == 1
    assert found.handshakes.refused == {}
    assert found.others == 7


def test_an_address_the_fleet_was_seen_at() -> None:
    """Behind a router the front sees another address: requests tell which one."""
    found = count(failed("tls.reset", "203.0.113.7:1"), put(peer="203.0.113.7:2"))
    assert found.handshakes.refused == {"tls.reset": 1}
    assert found.others == 0


def test_refused_devices_by_name() -> None:
    """The certificate names the device, or the key of a request answered 400 does."""
    found = count(
        failed("tls.verify.cert_revoked", "198.51.100.9:1", subject=f"CN={A}"),
        failed("tls.verify.cert_revoked", subject=f"CN={A}"),
        put(B, result="tls.verify.no_peer_certificate", status=400),
        put(B, result="tls.verify.no_peer_certificate", status=400, is_first=False),
        failed("tls.reset"),
        failed("tls.timeout", peer=""),
    )
    assert found.refusals == (
        Refusal(device=A, kind="tls.verify.cert_revoked", count=2),
        Refusal(device=B, kind="tls.verify.no_peer_certificate", count=1),
    )
    assert found.handshakes.refused == {
        "tls.reset": 1,
        "tls.timeout": 1,
        "tls.verify.cert_revoked": 2,
        "tls.verify.no_peer_certificate": 1,
    }
    assert found.requests.by_status == {"400": 2}


def test_lines_that_say_nothing() -> None:
    """Unreadable and foreign lines are told apart."""
    found = count("is no JSON", None, None, put())
    assert (found.unreadable, found.foreign) == (1, 2)
    assert found.requests.answered == 1


@pytest.mark.parametrize(
    ("uri", "device"),
    [
        (f"/fleet/{A}/device.json", A),
        (f"/fleet/{A}/x?versionId=1", A),
        (f"/{A}/device.json", A),
        (f"/fl%65et/{A}/x", A),
        ("/fleet/%30A0A0A0A/x", A),
        ("/fleet", "fleet"),
        ("/fleet/", "fleet"),
        ("/fleet?list-type=2", "fleet"),
        ("/", ""),
        ("", ""),
    ],
)
def test_device_of_a_target(uri: str, device: str) -> None:
    """Path style and virtual-hosted style, percent-encoded or not."""
    assert device_of(uri, "fleet") == device


_SEEN = st.builds(
    Seen,
    unix_s=st.floats(90, 210),
    peer=st.sampled_from(["192.0.2.1:5", "198.51.100.9:5", ""]),
    result=st.sampled_from(["ok", "tls.reset"]),
    resumed=st.booleans(),
    subject=st.sampled_from(["", f"CN={A}", f"CN={OTHER}"]),
    is_first=st.booleans(),
    method=st.sampled_from(["", "PUT", "GET"]),
    uri=st.sampled_from(["", f"/fleet/{A}/x", f"/fleet/{OTHER}/x"]),
    status=st.sampled_from([0, 200, 403]),
)


@given(st.lists(_SEEN))
def test_every_line_is_somebodys(lines: Iterable[Seen]) -> None:
    """Nothing vanishes: what is not the fleet's is counted with the others."""
    lines = list(lines)
    found = count(*lines)
    assert found.others <= len(lines)
    for each in lines:
        alone = count(each)
        counted = alone.handshakes.completed + sum(alone.handshakes.refused.values())
        is_silent = not each.is_first and not each.status
        assert counted + alone.requests.answered + alone.others > 0 or is_silent
    assert found.handshakes.resumed <= found.handshakes.completed
    assert found.requests.stored <= found.requests.answered
