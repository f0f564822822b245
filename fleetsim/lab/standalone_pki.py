"""The PKI of a lab for people: read it, or make it; issue what is missing in it."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import create_intermediate, create_root
from fleetsim.pki.certificates import Validity
from fleetsim.pki.files import locked
from fleetsim.pki.folder import ROOT, PkiFolder, create_folder, load_folder
from fleetsim.pki.identities import issue_devices
from fleetsim.pki.index import Kind
from fleetsim.pki.inventory import add_devices, add_server
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import issue_server

_LIFETIME_S: Final = 3650 * 86_400.0
_EARLIER_S: Final = -86_400.0  # devices with a slow clock shall accept it too
_FIRST_DEVICE: Final = "00000001"


def open_pki(
    path: Path, now: datetime, *, names: Sequence[str], with_device: bool
) -> PkiFolder:
    """Read the PKI folder, or make it; issue what the lab needs and it has not.

    Args:
        path: The folder; missing or empty = to be made.
        now: The present, aware.
        names: More host names and addresses for a new server certificate.
        with_device: Whether a device certificate is needed.

    Raises:
        InputError: With everything that is wrong with the folder.
    """
    folder = load_folder(path) if _is_made(path) else _new_pki(path, now)
    needs_server = not folder.index.of_kind(Kind.SERVER)
    needs_device = with_device and not folder.index.of_kind(Kind.DEVICE)
    if not needs_server and not needs_device:
        return folder
    with locked(path):
        folder = load_folder(path, issuing_at=now)
        if needs_server:
            hosts, ips = server_names(names)
            leaf = issue_server(
                folder.server_authority,
                validity=_validity(now),
                names=hosts,
                ips=ips,
                serials=folder.next_serials(),
            )
            folder = add_server(folder, hosts[0], leaf)
        if needs_device:
            devices = issue_devices(
                folder.device_authority,
                (_FIRST_DEVICE,),
                validity=_validity(now),
                serials=folder.next_serials(),
            )
            folder = add_devices(
                folder,
                devices,
                key_type=KeyType.RSA_2048,
                unique_keys=False,
                issued_at=now,
            )
    return folder


def server_names(more: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Host names and addresses of this machine's own server, and more of both."""
    names, ips = ["localhost"], ["127.0.0.1", "::1"]
    for each in more:
        try:
            ip_address(each)
        except ValueError:
            names.append(each)
        else:
            if not is_any_address(each):
                ips.append(each)
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(ips))


def is_any_address(host: str) -> bool:
    """Tell whether a host stands for every address of the machine."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_made(path: Path) -> bool:
    """Tell whether there is a PKI folder; an empty folder is one still to be made."""
    try:
        return any(path.iterdir())
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc


def _new_pki(path: Path, now: datetime) -> PkiFolder:
    validity = _validity(now)
    root = create_root(validity=validity, common_name="fleetsim lab root")
    authorities = {ROOT: root}
    for name in ("intermediate", "devices-ca"):
        authorities[name] = create_intermediate(
            root, validity=validity, common_name=f"fleetsim lab {name}"
        )
    return create_folder(
        path,
        authorities,
        server_authority="intermediate",
        device_authority="devices-ca",
        created=now,
        crl_validity=validity,
    )


def _validity(now: datetime) -> Validity:
    return Validity.lasting(now, _LIFETIME_S, starts_in_s=_EARLIER_S)
