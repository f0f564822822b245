"""FrontDesk: swaps compose, keys stay private, and lists reach mutual fronts only."""

import asyncio
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.settings import TlsSettings, TlsVersion
from fleetsim.lab.tls_files import load_tls
from fleetsim.pki.certificates import Validity
from fleetsim.pki.crl import build_crl
from fleetsim.pki.leaves import Leaf
from fleetsim.runner.front_actions import FrontDesk, describe
from fleetsim.runner.lab_setup import CA_LIFETIME, LabKit, build_lab
from fleetsim.runner.timeline import ActionFailedError
from fleetsim.scenario.target_schema import LabSpec

NOW = datetime.now(UTC)
FRONTS = [
    {"name": "one"},
    {"name": "plain", "security": "low"},
    {"name": "strict", "security": "high"},
]


class Recording:
    """A front control that only writes down what it is told."""

    def __init__(self) -> None:
        self.swaps: list[tuple[str, TlsSettings]] = []
        self.refused = ""

    async def swap_front(self, front: str, tls: TlsSettings) -> None:
        """Write it down; reads the files, as a lab does."""
        if front == self.refused:
            raise InputError(Problem(f"front {front}", "will not"))
        load_tls(tls)
        self.swaps.append((front, tls))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not for this test")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LabKit:
    """A lab with fronts of every kind."""
    folder = tmp_path_factory.mktemp("kit")
    spec = LabSpec.model_validate({"fronts": FRONTS})
    return build_lab(spec, folder, NOW, base_folder=folder)


@pytest.fixture
def control() -> Recording:
    """What the desk works through."""
    return Recording()


@pytest.fixture
def desk(kit: LabKit, control: Recording, tmp_path: Path) -> FrontDesk:
    """A desk for these fronts."""
    settings = {f.name: f.tls for f in kit.settings.fronts if f.tls is not None}
    return FrontDesk(control, settings, tmp_path)


async def test_swaps_compose(desk: FrontDesk, kit: LabKit, control: Recording) -> None:
    """What was swapped before stays when something else is."""
    leaf = kit.servers["strict"]
    facts = await desk.swap_certificate("one", leaf)
    await desk.swap_ciphers("one", "AES128-SHA")
    await desk.swap_versions("one", ["TLSv1.3", "TLSv1.2"])
    tls = desk.settings["one"]
    assert load_tls(tls).certificates[0].chain[0] == leaf.certificate
    assert tls.cipher_list == "AES128-SHA"
    assert (tls.min_version, tls.max_version) == (
        TlsVersion.TLS_1_2,
        TlsVersion.TLS_1_3,
    )
    assert [name for name, _ in control.swaps] == ["one"] * 3
    assert control.swaps[-1][1] == tls
    assert facts["fronts"] == ["one"]
    assert facts["sends"][0] == describe(leaf.certificate)


async def test_no_front_named_means_all_that_speak_tls(
    desk: FrontDesk, control: Recording
) -> None:
    """In the order of the lab; plain HTTP has nothing to swap."""
    facts = await desk.swap_ciphers(None, "AES128-SHA")
    assert facts["fronts"] == ["one", "strict"]
    assert [name for name, _ in control.swaps] == ["one", "strict"]


@pytest.mark.parametrize("name", ["plain", "nobody"])
async def test_a_front_without_tls(desk: FrontDesk, name: str) -> None:
    """It is refused in words."""
    with pytest.raises(ActionFailedError, match=f"{name} does not speak TLS"):
        await desk.swap_ciphers(name, "AES128-SHA")


async def test_what_a_front_refuses_is_not_remembered(
    desk: FrontDesk, control: Recording
) -> None:
    """The next change starts from what really is."""
    control.refused = "one"
    with pytest.raises(InputError, match="will not"):
        await desk.swap_ciphers("one", "AES128-SHA")
    control.refused = ""
    await desk.swap_versions("one", ["TLSv1.2"])
    assert desk.settings["one"].cipher_list != "AES128-SHA"


def test_files_are_new_each_time_and_keys_private(
    desk: FrontDesk, kit: LabKit, tmp_path: Path
) -> None:
    """Open connections may still use the old files; a key is for its owner alone."""

    async def swap_twice() -> None:
        for _ in range(2):
            await desk.swap_certificate("one", kit.servers["one"])

    asyncio.run(swap_twice())
    keys = sorted(tmp_path.glob("*.key"))
    assert len(keys) == 2
    assert len(list(tmp_path.glob("*.pem"))) == 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


async def test_no_key_in_the_facts(desk: FrontDesk, kit: LabKit) -> None:
    """The timeline shows which certificates are sent, and no secret."""
    leaf: Leaf = kit.servers["one"]
    facts = await desk.swap_certificate("one", leaf)
    assert "PRIVATE" not in repr(facts)
    assert set(facts["sends"][0]) == {
        "subject",
        "issuer",
        "serial",
        "not_before",
        "not_after",
        "sha256",
    }


async def test_lists_reach_mutual_fronts_only(
    desk: FrontDesk, kit: LabKit, control: Recording
) -> None:
    """A front that asks for no certificate has nothing to judge by them."""
    validity = Validity(NOW, NOW + CA_LIFETIME)
    crls = [
        build_crl(each, (), number=5, validity=validity)
        for each in (kit.device_authority, kit.root)
    ]
    cas = [kit.device_authority.certificate, kit.root.certificate]
    assert await desk.judge_clients(cas, crls) == ("strict",)
    assert [name for name, _ in control.swaps] == ["strict"]
    server = load_tls(desk.settings["strict"])
    assert list(server.client_cas) == cas
    assert list(server.crls) == crls
    assert server.check_crl
