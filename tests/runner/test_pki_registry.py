"""PkiRegistry: certificates by name, judged by openssl, with lifetimes of the calendar."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import certificates_pem
from fleetsim.pki.leaves import Leaf
from fleetsim.runner.lab_setup import CLOCK_SLACK, LabKit, build_lab
from fleetsim.runner.pki_registry import PkiRegistry, calendar, prepare_keys
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.scenario.timeline_schema import (
    ChainForm,
    CrossSign,
    IssueCa,
    IssueServerCertificate,
)
from tests.runner.stage import timeline_of

NOW = datetime(2027, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)


@cache
def entry(name: str) -> TimelinePlan:
    """An entry of this name; its content does not matter."""
    return timeline_of({"name": name, "at": "1s", "issue_ca": {"key": "p256"}})[0]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LabKit:
    """A lab as it starts."""
    folder = tmp_path_factory.mktemp("kit")
    return build_lab(LabSpec(), folder, NOW, base_folder=folder)


@pytest.fixture
def registry(kit: LabKit) -> PkiRegistry:
    """Its certificates."""
    return PkiRegistry(kit, lambda: NOW)


def issue_ca(registry: PkiRegistry, name: str, **spec: Any) -> x509.Certificate:
    """Make a CA with a quick key."""
    made = registry.issue_ca(
        entry(name), IssueCa.model_validate({"key": "p256", **spec})
    )
    return made.certificate


def issue_server(registry: PkiRegistry, name: str, **spec: Any) -> Leaf:
    """Make a server certificate with a quick key."""
    action = IssueServerCertificate.model_validate({"key": "p256", **spec})
    return registry.issue_server(entry(name), action)


def verifies(
    folder: Path, anchor: x509.Certificate, chain: tuple[x509.Certificate, ...]
) -> bool:
    """Whether ``openssl verify`` finds a path from a chain's leaf to one anchor."""
    (folder / "anchor.pem").write_bytes(certificates_pem([anchor]))
    (folder / "leaf.pem").write_bytes(certificates_pem(chain[:1]))
    (folder / "sent.pem").write_bytes(certificates_pem(chain[1:]) or b"\n")
    done = subprocess.run(
        [
            "openssl",
            "verify",
            "-attime",
            str(int(NOW.timestamp())),
            "-no-CAfile",
            "-no-CApath",
            "-trusted",
            "anchor.pem",
            *(["-untrusted", "sent.pem"] if len(chain) > 1 else []),
            "leaf.pem",
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@pytest.mark.parametrize("name", ["root", "intermediate", "devices", "main"])
def test_built_in_names(registry: PkiRegistry, kit: LabKit, name: str) -> None:
    """The lab's authorities and the front's first certificate are there from the start."""
    expected = {
        "root": kit.root.certificate,
        "intermediate": kit.server_authority.certificate,
        "devices": kit.device_authority.certificate,
        "main": kit.servers["main"].certificate,
    }
    assert registry.certificate(name) == expected[name]


@pytest.mark.parametrize(
    ("find", "name"),
    [
        ("authority", "main"),
        ("authority", "nobody"),
        ("leaf", "root"),
        ("certificate", "nobody"),
    ],
)
def test_a_name_that_is_not_there(registry: PkiRegistry, find: str, name: str) -> None:
    """It says which name, and does not take a leaf for an authority."""
    with pytest.raises(InputError, match=f"{name}: has not been made yet"):
        getattr(registry, find)(name)


def test_a_new_root_vouches_for_what_is_issued_under_it(
    registry: PkiRegistry, tmp_path: Path
) -> None:
    """Root, intermediate under it, server under that: openssl finds the path."""
    root = issue_ca(registry, "r2")
    issue_ca(registry, "i2", under="r2")
    leaf = issue_server(registry, "s2", ca="i2")
    sent = (leaf.certificate, *leaf.chain)
    assert verifies(tmp_path, root, sent)
    assert not verifies(tmp_path, registry.certificate("root"), sent)
    assert registry.find(root) == registry.authority("r2")
    assert registry.root_of(leaf) == root


def test_a_cross_certificate_leads_to_the_old_root(
    registry: PkiRegistry, tmp_path: Path
) -> None:
    """Devices that know the old root only accept a leaf of the new one with it."""
    new = issue_ca(registry, "r2")
    registry.cross_sign(entry("x"), CrossSign(ca="r2", by="root"))
    under_cross = issue_server(registry, "s2", ca="x")
    sent = (under_cross.certificate, *under_cross.chain)
    assert verifies(tmp_path, registry.certificate("root"), sent)
    assert verifies(tmp_path, new, sent)
    plain = issue_server(registry, "s3", ca="r2")
    assert not verifies(
        tmp_path, registry.certificate("root"), (plain.certificate, *plain.chain)
    )
    helped = registry.presented("s3", ChainForm.FULL, ["x"])
    assert verifies(
        tmp_path, registry.certificate("root"), (helped.certificate, *helped.chain)
    )


def test_two_roots_of_one_name_are_told_apart(registry: PkiRegistry) -> None:
    """A re-issued root with the old subject is another certificate with another key."""
    first = issue_ca(registry, "a", common_name="Same")
    second = issue_ca(registry, "b", common_name="Same")
    assert first.subject == second.subject
    leaf = issue_server(registry, "s", ca="b")
    assert registry.root_of(leaf) == second


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (ChainForm.FULL, ["low", "mid"]),
        (ChainForm.LEAF_ONLY, []),
        (ChainForm.WRONG_ORDER, ["mid", "low"]),
        (ChainForm.WITH_ROOT, ["low", "mid", "top"]),
    ],
)
def test_chain_forms(
    registry: PkiRegistry, form: ChainForm, expected: list[str]
) -> None:
    """What is sent besides the leaf, leaf's issuer first unless the order is wrong."""
    issue_ca(registry, "top")
    registry.cross_sign(entry("mid"), CrossSign(ca="devices", by="top"))
    low = issue_ca(registry, "low", under="mid")
    assert low.issuer == registry.certificate("mid").subject
    issue_server(registry, "s", ca="low")
    sent = registry.presented("s", form).chain
    assert list(sent) == [registry.certificate(name) for name in expected]


def test_wrong_order_of_a_single_intermediate(registry: PkiRegistry) -> None:
    """One alone has no order, so the root goes before it."""
    sent = registry.presented("main", ChainForm.WRONG_ORDER).chain
    assert sent == (registry.certificate("root"), registry.certificate("intermediate"))


def test_lifetimes(registry: PkiRegistry) -> None:
    """From now to notAfter in calendar seconds; valid since yesterday for slow clocks."""
    now = NOW.replace(microsecond=0)
    ca = issue_ca(registry, "c", lifetime="10s")
    assert ca.not_valid_before_utc == now - CLOCK_SLACK
    assert ca.not_valid_after_utc == now + timedelta(seconds=10)
    leaf = issue_server(registry, "s", lifetime="90d").certificate
    assert leaf.not_valid_before_utc == now - CLOCK_SLACK
    assert leaf.not_valid_after_utc == now + timedelta(days=90)
    later = issue_server(registry, "t", starts="2d", lifetime="5s").certificate
    assert later.not_valid_before_utc == now + timedelta(days=2)
    assert later.not_valid_after_utc == now + timedelta(days=2, seconds=5)


def test_the_profile_of_a_certificate(registry: PkiRegistry) -> None:
    """Names, common name and key encipherment as the entry says."""
    leaf = issue_server(
        registry,
        "s",
        key="rsa-2048",
        names=["*.fleet.test", "10.0.0.7"],
        with_common_name=False,
        with_key_encipherment=False,
    ).certificate
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    assert names.get_values_for_type(x509.DNSName) == ["*.fleet.test"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert not list(leaf.subject)
    assert usage.digital_signature
    assert not usage.key_encipherment


def test_keys_are_made_beforehand(kit: LabKit) -> None:
    """One for each entry that issues, of its kind, and that very key is used."""
    timeline = timeline_of(
        {"name": "a", "at": "1s", "issue_ca": {"key": "p256"}},
        {"name": "b", "at": "1s"},
        {"name": "c", "at": "1s", "issue_server_certificate": {"key": "p256"}},
    )
    keys = prepare_keys(timeline)
    assert set(keys) == {0, 2}
    assert all(isinstance(key, ec.EllipticCurvePrivateKey) for key in keys.values())
    registry = PkiRegistry(kit, lambda: NOW, keys)
    made = registry.issue_ca(timeline[0], IssueCa(key="p256"))
    assert made.key is keys[0]


def test_without_a_lab_there_are_no_built_in_names() -> None:
    """Somebody else's server has certificates that this program does not hold."""
    registry = PkiRegistry(None, lambda: NOW)
    assert registry.authorities == ()
    with pytest.raises(InputError):
        registry.certificate("root")
    assert issue_ca(registry, "mine").subject.rfc4514_string() == "CN=mine"


def test_calendar() -> None:
    """Run time times the scale, from the epoch on."""
    run_ns = 0

    def now_ns() -> int:
        return run_ns

    now = calendar(NOW.timestamp(), 86_400, now_ns)
    assert now() == NOW
    run_ns = 1_500_000_000
    assert now() == NOW + timedelta(days=1.5)
