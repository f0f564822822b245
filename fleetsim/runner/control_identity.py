"""Control identity: the certificate that the control plane shows a front that asks for one.

A front with mutual TLS lets nobody in without a certificate, the truth check neither.
Either the scenario names one (``target.client_certificate``), or the PKI folder that
issues the devices' certificates issues one for this run, which leaves no trace there.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import Validity
from fleetsim.pki.files import write_new
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import issue_device
from fleetsim.runner.device_pki import DevicePki
from fleetsim.scenario.plan import Plan
from fleetsim.target.control import ClientFiles

NAME: Final = "fleetsim-control"
"""Common name of a certificate that is issued for a run."""
_LIFETIME: Final = timedelta(days=30)
_SLACK: Final = timedelta(hours=1)


def control_identity(
    plan: Plan,
    pkis: Mapping[str, DevicePki],
    *,
    base_folder: Path,
    work_folder: Path,
    now: datetime,
) -> ClientFiles | None:
    """Find or issue the control plane's certificate.

    Args:
        plan: The plan.
        pkis: Each PKI folder that cohorts name.
        base_folder: Folder that relative paths of the scenario refer to.
        work_folder: Private folder of the run, for a certificate that is issued.
        now: Present time, aware.

    Returns:
        ``None`` = none is needed as far as the plan says.

    Raises:
        InputError: A file that the scenario names is not there.
    """
    target = plan.target
    if target is None:
        return None
    if target.client_certificate is not None and target.client_key is not None:
        found = ClientFiles(
            certificate=base_folder / target.client_certificate,
            key=base_folder / target.client_key,
        )
        problems = [
            Problem(str(path), "there is no such file")
            for path in (found.certificate, found.key)
            if not path.is_file()
        ]
        if problems:
            raise InputError(problems)
        return found
    if not pkis:
        return None
    leaf = issue_device(
        next(iter(pkis.values())).authority,
        NAME,
        validity=Validity(now - _SLACK, now + _LIFETIME),
        key_type=KeyType.P256,
    )
    made = ClientFiles(
        certificate=work_folder / f"{NAME}.pem", key=work_folder / f"{NAME}.key"
    )
    write_new(made.certificate, leaf.chain_pem())
    write_new(made.key, leaf.key_pem(), is_secret=True)
    return made
