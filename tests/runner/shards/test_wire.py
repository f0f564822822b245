"""Wire: whatever is cut where, messages arrive whole, and keys only where they must."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.device_settings import RunClock
from fleetsim.core.histogram import Histogram
from fleetsim.core.payload import PayloadBlock
from fleetsim.engine.fleet import Timing
from fleetsim.pki.certificates import Validity
from fleetsim.pki.identities import issue_devices
from fleetsim.pki.keys import KeyType, generate_key
from fleetsim.profiles import catalog
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.lab_setup import build_lab
from fleetsim.runner.shards.messages import Answer, GivenIdentities, Go, Job, Order
from fleetsim.runner.shards.wire import Decoder, encode, load_key
from fleetsim.runner.sites import front_endpoint
from fleetsim.transport.base import ClientIdentity
from tests.runner.plans import plan_of

NOW = datetime.now(UTC).replace(microsecond=0)


def sent(message: Any) -> Any:
    """A message as the other end has it."""
    (received,) = Decoder().feed(encode(message))
    return received


@given(
    st.lists(st.one_of(st.integers(), st.binary(max_size=50), st.none()), max_size=8),
    st.integers(1, 40),
)
def test_cut_anywhere(messages: list[object], size: int) -> None:
    """The pieces of a stream give every message once, whole and in order."""
    stream = b"".join(map(encode, messages))
    decoder = Decoder()
    received = [
        message
        for at in range(0, len(stream), size)
        for message in decoder.feed(stream[at : at + size])
    ]
    assert received == messages


@pytest.mark.parametrize(
    "message",
    [Order.FINISH, Answer(3, 7), Histogram.of([1, 10**9])],
    ids=["order", "answer", "histogram"],
)
def test_plain_messages(message: object) -> None:
    """Values without certificates arrive as they were."""
    assert sent(message) == message


@pytest.mark.parametrize("kind", [KeyType.RSA_2048, KeyType.P256])
def test_identities(kind: KeyType, tmp_path: Any) -> None:
    """Certificates and keys arrive; a key that is shared is one key again."""
    lab = plan_of({}).lab
    assert lab is not None
    kit = build_lab(lab, tmp_path, NOW, base_folder=tmp_path)
    key = generate_key(kind)
    made = tuple(
        issue_devices(
            kit.device_authority,
            ["0000000A", "0000000B"],
            validity=Validity(NOW, NOW + timedelta(days=1)),
            key_type=kind,
            keys=(key,),
        )
    )
    identities = {}
    for index, each in enumerate(made):
        assert isinstance(each.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        identities[index] = ClientIdentity(each.certificate, each.chain, each.key)
    given_to = sent(GivenIdentities(identities)).by_index
    assert [given_to[i].certificate for i in (0, 1)] == [m.certificate for m in made]
    assert given_to[0].chain == made[0].chain
    assert given_to[0].key is given_to[1].key
    assert given_to[0].key.private_numbers() == identities[0].key.private_numbers()


def test_a_key_of_another_kind() -> None:
    """A key that no device has is refused."""
    der = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(TypeError, match="RSA or EC"):
        load_key(der)


def test_keys_leave_in_no_other_way() -> None:
    """An identity that goes elsewhere, to a log or a record, does not take its key along."""
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(generate_key(KeyType.P256))


@pytest.mark.parametrize("name", ["canedge2", "canedge3", "generic-tls12"])
def test_a_job_of_every_profile(name: str, tmp_path: Any) -> None:
    """Everything a shard needs can travel, and its devices are those of the plan."""
    plan = plan_of({"profile": name, "count": 5}, lab={"fronts": [{"name": "one"}]})
    lab = plan.lab
    assert lab is not None
    kit = build_lab(lab, tmp_path, NOW, base_folder=tmp_path)
    endpoint = front_endpoint(lab, "one", 9001, catalog.load(name).profile.style)
    bindings, _ = bind(
        plan,
        [Site(endpoint=endpoint, credentials=kit.credentials)],
        kit=kit,
        authorities={},
        base_folder=tmp_path,
        now=NOW,
    )
    share = plan.shard(1, 2)
    job = Job(
        name="shard 2 of 2",
        devices=share.devices,
        bindings=tuple(
            type(each)(
                settings=each.settings,
                bundle=each.bundle,
                identity=GivenIdentities({}),
            )
            for each in bindings
        ),
        timing=Timing(duration_ns=1, drain_ns=1),
        in_flight=5,
        warm_up_ns=0,
        folder=tmp_path,
    )
    received = sent(job)
    assert received.devices == share.devices
    binding, original = received.bindings[0], bindings[0]
    assert binding.bundle == original.bundle
    assert binding.settings.profile == original.settings.profile
    assert binding.settings.contact_rules == original.settings.contact_rules
    assert binding.identity(share.devices[0]) is None
    body = original.settings.payload.pieces(9, 5000)
    assert binding.settings.payload.pieces(9, 5000) == body
    assert isinstance(binding.settings.payload, PayloadBlock)
    assert len(encode(job)) < 1 << 20, "the block of random bytes travels as its seed"


def test_a_clock_travels() -> None:
    """Every shard has the same run time 0 and the same wall clock."""
    go = sent(Go(123, RunClock(456, 2.0)))
    assert (go.origin_ns, go.clock.unix_s(10**9)) == (
        123,
        RunClock(456, 2.0).unix_s(10**9),
    )
