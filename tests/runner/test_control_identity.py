"""The control plane's certificate: the scenario's, or one issued for the run."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from fleetsim.exceptions import InputError
from fleetsim.pki.authority import create_root
from fleetsim.pki.certificates import Validity
from fleetsim.pki.keys import KeyType, is_pair, parse_key_pem
from fleetsim.runner.control_identity import NAME, control_identity
from fleetsim.runner.device_pki import DevicePki
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.target_schema import TargetSpec
from tests.integration.runs import cohort, plan_of, scenario

NOW = datetime(2027, 3, 1, tzinfo=UTC)
CA = create_root(validity=Validity.lasting(NOW, 86_400), key_type=KeyType.P256)
PKIS = {"pki": DevicePki(CA, {})}


def plan_with(**target: str) -> Plan:
    """A plan with a target."""
    spec = {"endpoint": "https://s3.test", "bucket": "fleet", "ca_file": "root.pem"}
    data = scenario(cohort("a", security="medium"), target=spec)
    plan = plan_of(data)[1]
    return replace(plan, target=TargetSpec.model_validate({**spec, **target}))


def test_the_lab_asks_for_none(tmp_path: Path) -> None:
    """The lab's control plane has a plain front of its own."""
    plan = replace(plan_with(), target=None)
    assert (
        control_identity(
            plan, PKIS, base_folder=tmp_path, work_folder=tmp_path, now=NOW
        )
        is None
    )


def test_without_a_pki_there_is_none(tmp_path: Path) -> None:
    """Devices without certificates stand before a front that asks for none."""
    found = control_identity(
        plan_with(), {}, base_folder=tmp_path, work_folder=tmp_path, now=NOW
    )
    assert found is None
    assert not list(tmp_path.iterdir())


def test_issued_for_the_run(tmp_path: Path) -> None:
    """The devices' authority issues a short-lived one; the key is for its owner only."""
    found = control_identity(
        plan_with(), PKIS, base_folder=tmp_path, work_folder=tmp_path, now=NOW
    )
    assert found is not None
    certificate = x509.load_pem_x509_certificate(found.certificate.read_bytes())
    certificate.verify_directly_issued_by(CA.certificate)
    assert certificate.subject.rfc4514_string() == f"CN={NAME}"
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    assert is_pair(certificate, parse_key_pem(found.key.read_bytes(), "key"))
    assert found.key.stat().st_mode & 0o777 == 0o600


def test_the_scenarios_own(tmp_path: Path) -> None:
    """Files that the scenario names come first, relative to the scenario."""
    for name in ("own.pem", "own.key"):
        (tmp_path / name).touch()
    plan = plan_with(client_certificate="own.pem", client_key="own.key")
    found = control_identity(
        plan, PKIS, base_folder=tmp_path, work_folder=tmp_path / "work", now=NOW
    )
    assert found is not None
    assert (found.certificate, found.key) == (
        tmp_path / "own.pem",
        tmp_path / "own.key",
    )


def test_missing_files_are_named_together(tmp_path: Path) -> None:
    """Both files are looked for before anything starts."""
    plan = plan_with(client_certificate="own.pem", client_key="own.key")
    with pytest.raises(InputError) as caught:
        control_identity(
            plan, PKIS, base_folder=tmp_path, work_folder=tmp_path, now=NOW
        )
    assert [each.where for each in caught.value.problems] == [
        str(tmp_path / "own.pem"),
        str(tmp_path / "own.key"),
    ]


@pytest.mark.parametrize("field", ["client_certificate", "client_key"])
def test_one_without_the_other(field: str) -> None:
    """A certificate without its key, or a key alone, is refused with the scenario."""
    with pytest.raises(ValueError, match="go together"):
        TargetSpec.model_validate({"bucket": "fleet", field: "own.pem"})
