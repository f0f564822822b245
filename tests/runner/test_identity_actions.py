"""IdentityDesk: order of a rotation, and lists that openssl believes."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import Endpoint
from fleetsim.lab.settings import TlsSettings
from fleetsim.lab.tls_files import load_tls
from fleetsim.pki.certificates import certificates_pem
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.front_actions import FrontDesk
from fleetsim.runner.identity_actions import IdentityDesk, prepare_pools
from fleetsim.runner.lab_setup import LabKit, build_lab
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.runner.timeline import ActionFailedError, Facts
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline_schema import (
    IssueCa,
    Selector,
)
from fleetsim.transport.base import ClientIdentity
from tests.runner.stage import S, Stage, only, staged_plan, timeline_of

NOW = datetime.now(UTC)
COUNT = 10
FRONTS = {"fronts": [{"security": "high"}]}
HIGH = {
    "count": COUNT,
    "security": "high",
    "client_certificates": {"key": "p256"},
}
ENDPOINT = Endpoint(
    scheme="https", host="localhost", port=9001, bucket="fleet", region="us-east-1"
)


class Order:
    """Fleet and front control in one: writes down the order of things."""

    def __init__(self) -> None:
        self.order: list[tuple[Any, ...]] = []
        self.tls: TlsSettings | None = None
        self.given: dict[int, ClientIdentity] = {}

    async def swap_front(self, front: str, tls: TlsSettings) -> None:
        """New settings of a front."""
        self.order.append(("swap", front))
        self.tls = tls

    def set_identity(self, index: int, identity: ClientIdentity) -> bool:
        """A device has a new certificate."""
        if not self.order or self.order[-1] != ("given",):
            self.order.append(("given",))
        self.given[index] = identity
        return True

    async def all_given(self) -> None:
        """Every certificate has arrived."""
        self.order.append(("arrived",))


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LabKit:
    """A lab with a mutual front."""
    folder = tmp_path_factory.mktemp("kit")
    return build_lab(LabSpec.model_validate(FRONTS), folder, NOW, base_folder=folder)


class Office:
    """A desk with everything around it."""

    def __init__(self, kit: LabKit, folder: Path, *actions: dict[str, Any]) -> None:
        self.plan: Plan = staged_plan(
            HIGH,
            *({"name": f"e{n}", "at": "0s", **a} for n, a in enumerate(actions)),
            lab=FRONTS,
        )
        self.stage = Stage()
        self.order = Order()
        self.folder = folder
        fleet: Any = self.order
        site = Site(endpoint=ENDPOINT, credentials=kit.credentials)
        self.bindings, _ = bind(
            self.plan, [site], kit=kit, authorities={}, base_folder=folder, now=NOW
        )
        self.registry = PkiRegistry(kit, lambda: NOW)
        settings = {f.name: f.tls for f in kit.settings.fronts if f.tls is not None}
        self.desk = IdentityDesk(
            self.plan,
            fleet=fleet,
            bindings=self.bindings,
            authorities={},
            registry=self.registry,
            fronts=FrontDesk(fleet, settings, folder),
            pools=prepare_pools(self.plan),
            now=lambda: NOW,
        )

    async def do(self, number: int = 0) -> Facts:
        """Carry an entry out."""
        entry = self.plan.timeline[number]
        match entry.key:
            case "rotate_device_certificates":
                return await self.desk.rotate(self.stage.execution(entry), entry.action)  # type: ignore[arg-type]  # by its key
            case "revoke_devices":
                return await self.desk.revoke(entry.action)  # type: ignore[arg-type]  # by its key
            case "unrevoke":
                return await self.desk.unrevoke(entry.action)  # type: ignore[arg-type]  # by its key
            case _:
                return await self.desk.expire_crl()

    def does(self, *numbers: int) -> Facts:
        """Carry entries out one after the other; facts of the last."""

        async def all_of_them() -> Facts:
            facts: Facts = {}
            for number in numbers or (0,):
                facts = await self.do(number)
            return facts

        found: Facts = self.stage.complete(all_of_them())
        return found

    def verdict(self, identity: ClientIdentity | None, *options: str) -> str:
        """What ``openssl verify`` with the front's CAs and lists says of a device."""
        assert identity is not None
        assert self.order.tls is not None
        server = load_tls(self.order.tls)
        (self.folder / "cas.pem").write_bytes(certificates_pem(server.client_cas))
        (self.folder / "lists.pem").write_bytes(
            b"".join(crl.public_bytes(Encoding.PEM) for crl in server.crls)
        )
        (self.folder / "sent.pem").write_bytes(
            certificates_pem(identity.chain) or b"\n"
        )
        (self.folder / "own.pem").write_bytes(certificates_pem([identity.certificate]))
        done = subprocess.run(
            [
                "openssl",
                "verify",
                "-crl_check_all",
                *options,
                "-CAfile",
                "cas.pem",
                "-CRLfile",
                "lists.pem",
                *(["-untrusted", "sent.pem"] if identity.chain else []),
                "own.pem",
            ],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return "ok" if done.returncode == 0 else done.stderr


TENTH = Selector(share=0.1)
REVOKE = {"revoke_devices": {"to": {"share": 0.1}}}


def test_revoked_is_who_was_selected(kit: LabKit, tmp_path: Path) -> None:
    """The front's new list has the selected devices' certificates and no other."""
    office = Office(kit, tmp_path, REVOKE)
    facts = office.does()
    chosen = set(select(office.plan, TENTH))
    assert (facts["devices"], facts["revoked"], facts["crl_revoked"]) == (1, 1, 1)
    assert facts["fronts"] == ["main"]
    assert office.desk.revoked == 1
    for index in range(COUNT):
        verdict = office.verdict(office.desk.identity(index))
        assert ("certificate revoked" in verdict) is (index in chosen)
        assert (verdict == "ok") is (index not in chosen)


def test_unrevoke_takes_off_the_list(kit: LabKit, tmp_path: Path) -> None:
    """The certificate was on hold, and is valid again; list numbers rise."""
    office = Office(kit, tmp_path, REVOKE, {"unrevoke": {"to": {"share": 0.1}}})
    facts = office.does(0, 1)
    (index,) = select(office.plan, TENTH)
    assert office.verdict(office.desk.identity(index)) == "ok"
    assert (facts["unrevoked"], facts["crl_revoked"], facts["crl_number"]) == (1, 0, 3)


@pytest.mark.parametrize(
    ("more", "flag"),
    [
        pytest.param([], x509.ReasonFlags.key_compromise, id="for good"),
        pytest.param([{"unrevoke": {}}], x509.ReasonFlags.certificate_hold, id="hold"),
    ],
)
def test_only_a_hold_may_be_lifted(
    kit: LabKit, tmp_path: Path, more: list[dict[str, Any]], flag: x509.ReasonFlags
) -> None:
    """RFC 5280 5.3.1: the reason says whether it is for good."""
    office = Office(kit, tmp_path, REVOKE, *more)
    office.does(0)
    assert office.order.tls is not None
    entries = [each for crl in load_tls(office.order.tls).crls for each in crl]
    assert [
        e.extensions.get_extension_for_class(x509.CRLReason).value.reason
        for e in entries
    ] == [flag]


def test_an_expired_list(kit: LabKit, tmp_path: Path) -> None:
    """Everybody is refused for the list's sake; the next list is a current one."""
    office = Office(kit, tmp_path, {"expire_crl": {}}, REVOKE)
    office.does(0)
    assert "CRL has expired" in office.verdict(office.desk.identity(0))


def test_a_list_after_an_expired_one(kit: LabKit, tmp_path: Path) -> None:
    """A revocation signs every list anew."""
    office = Office(kit, tmp_path, {"expire_crl": {}}, REVOKE)
    office.does(0, 1)
    (revoked,) = select(office.plan, TENTH)
    other = next(index for index in range(COUNT) if index != revoked)
    assert office.verdict(office.desk.identity(other)) == "ok"


def test_rotation_renews_and_revokes_after_the_overlap(
    kit: LabKit, tmp_path: Path
) -> None:
    """New ones at once, old ones valid until the overlap is over, then revoked."""
    office = Office(
        kit,
        tmp_path,
        {"rotate_device_certificates": {"lifetime": "30d", "revoke_old": "5s"}},
    )
    old = [office.desk.identity(index) for index in range(COUNT)]
    facts = office.does()
    assert round(office.stage.now_ns() / S, 3) == 5.0
    assert [line.step for line in office.stage.lines] == ["given"]
    assert facts["revoked"] == COUNT
    assert office.order.given.keys() == set(range(COUNT))
    for index in range(COUNT):
        new = office.desk.identity(index)
        assert new is office.order.given[index]
        assert office.verdict(new) == "ok"
        assert "certificate revoked" in office.verdict(old[index])
        lasts = new.certificate.not_valid_after_utc - NOW
        assert timedelta(days=29) < lasts <= timedelta(days=30)


@pytest.mark.parametrize("with_client_auth", [True, False], ids=["with", "without"])
def test_renewed_without_the_usage(
    kit: LabKit, tmp_path: Path, *, with_client_auth: bool
) -> None:
    """A certificate without clientAuth is trusted, but openssl takes it from no client."""
    office = Office(
        kit,
        tmp_path,
        {
            "rotate_device_certificates": {
                "with_client_auth": with_client_auth,
                "revoke_old": "0s",
            }
        },
    )
    office.does()
    new = office.order.given[0]
    assert office.verdict(new) == "ok"
    as_client = office.verdict(new, "-purpose", "sslclient")
    as_server = office.verdict(new, "-purpose", "sslserver")
    assert (as_client == "ok") is with_client_auth
    assert (as_server == "ok") is not with_client_auth


def test_another_issuer_is_accepted_before_anybody_has_its_certificate(
    kit: LabKit, tmp_path: Path
) -> None:
    """Trust first: the front learns of the CA, then the devices get its certificates."""
    office = Office(
        kit,
        tmp_path,
        {"rotate_device_certificates": {"ca": "fresh", "revoke_old": "1s"}},
    )
    action = IssueCa(key="p256")
    entry = only(timeline_of({"name": "fresh", "at": "0s", "issue_ca": action}))
    office.registry.issue_ca(entry, action)
    before = office.desk.identity(0)
    office.does()
    assert office.order.order == [
        ("swap", "main"),
        ("given",),
        ("arrived",),
        ("swap", "main"),
    ]
    assert office.verdict(office.desk.identity(0)) == "ok"
    assert "certificate revoked" in office.verdict(before)


def test_devices_nobody_gave_a_certificate(kit: LabKit, tmp_path: Path) -> None:
    """Certificates of a CA whose key is elsewhere cannot be revoked here."""
    office = Office(kit, tmp_path, REVOKE)
    folder = tmp_path / "other"
    folder.mkdir()
    spec = LabSpec.model_validate(FRONTS)
    foreign = build_lab(spec, folder, NOW, base_folder=tmp_path)
    office.registry._authorities["devices"] = foreign.device_authority
    office.desk._issuers.clear()
    with pytest.raises(ActionFailedError, match="1 certificates, first of"):
        office.does()


def test_without_a_lab_there_are_no_lists(kit: LabKit, tmp_path: Path) -> None:
    """Somebody else's server keeps its own lists."""
    office = Office(kit, tmp_path, REVOKE)
    fleet: Any = office.order
    desk = IdentityDesk(
        office.plan,
        fleet=fleet,
        bindings=office.bindings,
        authorities={},
        registry=PkiRegistry(None, lambda: NOW),
        fronts=None,
        pools={},
        now=lambda: NOW,
    )
    with pytest.raises(ActionFailedError, match="come from a CA"):
        office.stage.complete(desk.revoke(office.plan.timeline[0].action))  # type: ignore[arg-type]  # by its key


def test_pools_are_made_beforehand() -> None:
    """As many keys as share a pool, or one for each device with unique keys."""
    rotate = {"name": "r", "at": "0s", "rotate_device_certificates": {}}
    shared = prepare_pools(staged_plan({**HIGH, "count": 50}, rotate, lab=FRONTS))
    assert {key: len(pool) for key, pool in shared.items()} == {(0, 0): 32}
    unique = {"key": "p256", "unique_keys": True}
    own = prepare_pools(
        staged_plan(
            {**HIGH, "count": 50, "client_certificates": unique}, rotate, lab=FRONTS
        )
    )
    assert len(own[0, 0]) == 50
    assert prepare_pools(staged_plan(HIGH, lab=FRONTS)) == {}
