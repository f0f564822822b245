"""Bindings: a cohort's trust, identity and endpoint, as the plan says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import Credentials, Endpoint
from fleetsim.engine.fleet import CohortBinding
from fleetsim.exceptions import InputError
from fleetsim.pki.authority import Authority, create_root
from fleetsim.pki.certificates import Validity
from fleetsim.runner.bindings import RefusedBundle, Site, bind
from fleetsim.runner.lab_setup import LabKit, build_lab
from fleetsim.scenario.plan import Plan
from tests.core.certificates import make_certificate
from tests.runner.plans import TARGET, plan_of

NOW = datetime.now(UTC)
SITE = Site(
    endpoint=Endpoint(scheme="https", host="localhost", port=1, bucket="fleet"),
    credentials=Credentials(access_key="A", secret_key="hush"),
)
VALID = Validity(NOW - timedelta(days=1), NOW + timedelta(days=1))
HIGH = {"fronts": [{"security": "high"}]}


def bound(
    plan: Plan,
    folder: Path,
    authorities: dict[str, Authority] | None = None,
) -> tuple[list[CohortBinding], list[RefusedBundle], LabKit | None]:
    """Bind a plan, with its lab built when it has one."""
    kit = None
    if plan.lab is not None:
        (folder / "lab").mkdir()
        kit = build_lab(plan.lab, folder / "lab", NOW, base_folder=folder)
    bindings, refused = bind(
        plan,
        [SITE] * len(plan.cohorts),
        kit=kit,
        authorities=authorities or {},
        base_folder=folder,
        now=NOW,
    )
    return bindings, refused, kit


def test_settings_of_every_cohort(tmp_path: Path) -> None:
    """Order, names, endpoint, workload and end of load are the plan's."""
    plan = plan_of({}, {"heartbeat": "7s"}, duration="20s")
    bindings, refused, _ = bound(plan, tmp_path)
    assert [each.settings.cohort for each in bindings] == ["c0", "c1"]
    assert refused == []
    settings = bindings[1].settings
    assert settings.workload.heartbeat_s == 7
    assert settings.load_end_ns == 20 * 10**9
    assert settings.endpoint is SITE.endpoint
    assert abs(settings.clock.unix_s(0) - NOW.timestamp()) <= 1


@pytest.mark.parametrize("anchor", ["root", "intermediate", "leaf"])
def test_lab_trust(tmp_path: Path, anchor: str) -> None:
    """The bundle holds the one certificate the scenario named, after the device's rules."""
    plan = plan_of({"trust": {"lab": anchor}})
    (binding,), refused, kit = bound(plan, tmp_path)
    assert kit is not None
    assert refused == []
    (certificate,) = binding.bundle.certificates
    assert certificate == kit.anchor(plan.cohorts[0].trust.anchor, "main")  # type: ignore[union-attr]  # the plan was made with lab trust


def test_empty_trust(tmp_path: Path) -> None:
    """No anchor, and nothing refused: an empty card is no broken file."""
    (binding,), refused, _ = bound(plan_of({"trust": "empty"}), tmp_path)
    assert binding.bundle.is_empty
    assert refused == []


def test_file_trust(tmp_path: Path) -> None:
    """A bundle file is read relative to the scenario."""
    ours = make_certificate("Ours", key="rsa-2048")
    (tmp_path / "b.pem").write_bytes(ours.public_bytes(Encoding.PEM))
    (binding,), refused, _ = bound(plan_of({"trust": {"file": "b.pem"}}), tmp_path)
    assert tuple(binding.bundle.certificates) == (ours,)
    assert refused == []


def test_a_refused_bundle_is_told_and_no_error(tmp_path: Path) -> None:
    """The device's verdict on its file is data: which cohort, which rule."""
    (tmp_path / "b.pem").write_bytes(b"garbage")
    plan = plan_of({}, {"trust": {"file": "b.pem"}})
    bindings, (refused,), _ = bound(plan, tmp_path)
    assert bindings[1].bundle.is_empty
    assert refused.cohort == "c1"
    assert [each.rule for each in refused.refusals] == ["unreadable"]


def test_a_missing_bundle_file_is_bad_input(tmp_path: Path) -> None:
    """A file that the scenario names and nobody finds ends the run before it starts."""
    plan = plan_of({"trust": {"file": "b.pem"}})
    with pytest.raises(InputError, match=r"b\.pem: No such file"):
        bound(plan, tmp_path)


def test_only_high_security_has_certificates(tmp_path: Path) -> None:
    """Devices of medium and low cohorts show no certificate."""
    plan = plan_of({})
    (binding,), _, _ = bound(plan, tmp_path)
    assert binding.identity(plan.devices[0]) is None


@pytest.mark.parametrize("key", ["rsa-2048", "p256"])
def test_every_device_has_its_own_certificate(tmp_path: Path, key: str) -> None:
    """Named after the device, issued by the lab's device CA, key of the type asked for."""
    plan = plan_of(
        {"count": 5, "client_certificates": {"key": key}},
        lab=HIGH,
    )
    (binding,), _, kit = bound(plan, tmp_path)
    assert kit is not None
    serials = set()
    for device in plan.devices:
        identity = binding.identity(device)
        assert identity is not None
        serials.add(identity.certificate.serial_number)
        name = identity.certificate.subject.get_attributes_for_oid(
            x509.NameOID.COMMON_NAME
        )[0]
        assert name.value == device.device_id
        identity.certificate.verify_directly_issued_by(kit.device_authority.certificate)
        assert identity.key.public_key() == identity.certificate.public_key()
        wanted = rsa.RSAPrivateKey if key == "rsa-2048" else ec.EllipticCurvePrivateKey
        assert isinstance(identity.key, wanted)
    assert len(serials) == 5


def test_the_named_pki_issues(tmp_path: Path) -> None:
    """Against a real target the devices' certificates come from the folder named."""
    plan = plan_of(
        {
            "security": "high",
            "trust": "empty",
            "client_certificates": {"pki": "ours"},
        },
        target=TARGET,
    )
    ours = create_root(validity=VALID, common_name="Ours")
    (binding,), _, _ = bound(plan, tmp_path, {"ours": ours})
    identity = binding.identity(plan.devices[0])
    assert identity is not None
    identity.certificate.verify_directly_issued_by(ours.certificate)


def test_cohorts_share_clock_and_payload(tmp_path: Path) -> None:
    """One payload block and one clock serve the whole fleet."""
    bindings, _, _ = bound(plan_of({}, {}), tmp_path)
    one, two = (each.settings for each in bindings)
    assert one.payload is two.payload
    assert one.clock is two.clock
    assert replace(one, cohort="c1").signer is one.signer
