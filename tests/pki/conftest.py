"""A small hierarchy, made once: keys are what takes the time."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from fleetsim.pki.authority import Authority, create_intermediate, create_root
from fleetsim.pki.certificates import Validity
from fleetsim.pki.keys import KeyType

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
YEAR = Validity.lasting(NOW, 365 * 86400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A root, and one intermediate each for servers and devices; P-256 for speed."""

    now: datetime
    validity: Validity
    root: Authority
    servers: Authority
    devices: Authority


@pytest.fixture(scope="session")
def hierarchy() -> Hierarchy:
    """Root, server and device authority, valid one year from ``now``."""
    root = create_root(validity=YEAR, key_type=KeyType.P256)
    servers = create_intermediate(root, validity=YEAR, key_type=KeyType.P256)
    devices = create_intermediate(
        root, validity=YEAR, common_name="fleetsim devices-ca", key_type=KeyType.P256
    )
    return Hierarchy(
        now=NOW, validity=YEAR, root=root, servers=servers, devices=devices
    )
