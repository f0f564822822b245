import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import Validity, parse_certificates_pem
from fleetsim.pki.crl import Reason
from fleetsim.pki.folder import PkiFolder, create_folder, load_folder
from fleetsim.pki.identities import DeviceIdentity, issue_devices, numbered_ids
from fleetsim.pki.index import Kind
from fleetsim.pki.inventory import (
    add_devices,
    add_server,
    load_devices,
    load_server,
    revoke,
    write_crls,
)
from fleetsim.pki.keys import KeyType, is_pair, parse_key_pem
from fleetsim.pki.leaves import issue_server
from tests.pki.conftest import NOW, YEAR, Hierarchy

WEEK = Validity.lasting(NOW, 7 * 86400)


@dataclass(frozen=True, slots=True)
class Stock:
    """A folder on disk and shorthand for filling it."""

    folder: PkiFolder

    def with_devices(
        self, ids: tuple[str, ...], *, unique_keys: bool = False, pool_size: int = 2
    ) -> "Stock":
        """Issue P-256 devices."""
        issued = issue_devices(
            self.folder.device_authority,
            ids,
            validity=YEAR,
            key_type=KeyType.P256,
            pool_size=pool_size,
            unique_keys=unique_keys,
            serials=self.folder.next_serials(),
        )
        return Stock(
            add_devices(
                self.folder,
                issued,
                key_type=KeyType.P256,
                unique_keys=unique_keys,
                issued_at=NOW,
            )
        )

    def with_server(self, name: str) -> "Stock":
        """Issue a P-256 server."""
        is_name = name[0].isalpha() or name[0] == "*"
        leaf = issue_server(
            self.folder.server_authority,
            validity=YEAR,
            names=(name,) if is_name else (),
            ips=() if is_name else (name,),
            key_type=KeyType.P256,
        )
        return Stock(add_server(self.folder, name, leaf))

    def files(self) -> dict[str, bytes]:
        """Read every file of the folder."""
        path = self.folder.path
        return {
            str(each.relative_to(path)): each.read_bytes()
            for each in path.rglob("*")
            if each.is_file()
        }


@pytest.fixture
def stock(tmp_path: Path, hierarchy: Hierarchy) -> Stock:
    """An empty folder with three authorities."""
    return Stock(
        create_folder(
            tmp_path / "pki",
            {
                "root": hierarchy.root,
                "intermediate": hierarchy.servers,
                "devices-ca": hierarchy.devices,
            },
            server_authority="intermediate",
            device_authority="devices-ca",
            created=NOW,
            crl_validity=WEEK,
            serial_seed=5,
        )
    )


def revoked_serials(folder: PkiFolder) -> dict[x509.Name, set[int]]:
    """Read crl.pem: serials by issuer."""
    begin = b"-----BEGIN X509 CRL-----"
    blocks = (folder.path / "crl.pem").read_bytes().split(begin)[1:]
    lists = [x509.load_pem_x509_crl(begin + block) for block in blocks]
    return {each.issuer: {entry.serial_number for entry in each} for each in lists}


def test_server_comes_back(stock: Stock) -> None:
    """A stored server reads back with chain and key; files are where they are said."""
    stock = stock.with_server("localhost")
    path = stock.folder.path / "server"
    leaf = load_server(load_folder(stock.folder.path), "localhost")
    assert is_pair(leaf.certificate, leaf.key)
    assert leaf.chain == stock.folder.server_authority.presented
    assert stat.S_IMODE((path / "localhost.key").stat().st_mode) == 0o600
    assert (path / "localhost.chain.pem").read_bytes() == leaf.chain_pem()
    only = parse_certificates_pem((path / "localhost.pem").read_bytes(), "")
    assert only == (leaf.certificate,)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        pytest.param("*.example.com", "_.example.com.pem", id="wildcard"),
        pytest.param("::1", "__1.pem", id="ipv6"),
        pytest.param("10.0.0.1", "10.0.0.1.pem", id="ipv4"),
    ],
)
def test_server_file_names_are_plain(stock: Stock, name: str, file: str) -> None:
    """Characters that shells and index patterns dislike are replaced."""
    stock = stock.with_server(name)
    assert (stock.folder.path / "server" / file).exists()
    load_server(load_folder(stock.folder.path), name)


def test_a_second_certificate_does_not_replace_the_first(stock: Stock) -> None:
    """The newest is the current one; the older one's files stay."""
    stock = stock.with_server("localhost")
    first = load_server(stock.folder, "localhost")
    stock = stock.with_server("localhost")
    second = load_server(stock.folder, "localhost")
    assert second.certificate != first.certificate
    path = stock.folder.path / "server"
    assert (path / "localhost.chain.pem").read_bytes() == first.chain_pem()
    assert (path / "localhost.2.chain.pem").read_bytes() == second.chain_pem()


def test_unknown_server_is_an_input_error(stock: Stock) -> None:
    """Asking for a server that is not there names those that are."""
    stock = stock.with_server("localhost")
    with pytest.raises(InputError, match="known: localhost"):
        load_server(stock.folder, "other")


def test_pooled_keys_are_stored_once(stock: Stock) -> None:
    """Ten devices on two keys are ten certificate files and two key files."""
    ids = numbered_ids(10)
    stock = stock.with_devices(ids)
    path = stock.folder.path
    assert {each.name for each in (path / "devices").iterdir()} == {
        f"{each}.pem" for each in ids
    }
    keys = list((path / "keys").iterdir())
    assert len(keys) == 2
    assert {stat.S_IMODE(each.stat().st_mode) for each in keys} == {0o600}
    (batch,) = stock.folder.index.batches
    assert (batch.devices, batch.keys, batch.key_type, batch.unique_keys) == (
        10, 2, KeyType.P256, False,
    )  # fmt: skip


def test_unique_keys_lie_beside_their_certificates(stock: Stock) -> None:
    """With unique keys every device has its own key file, of mode 0600."""
    stock = stock.with_devices(numbered_ids(30), unique_keys=True)
    path = stock.folder.path / "devices"
    for device_id in numbered_ids(30):
        (certificate, *_) = parse_certificates_pem(
            (path / f"{device_id}.pem").read_bytes(), ""
        )
        key_file = path / f"{device_id}.key"
        assert is_pair(certificate, parse_key_pem(key_file.read_bytes(), ""))
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stock.folder.index.batches[0].keys == 30
    assert stock.folder.index.batches[0].unique_keys


@pytest.mark.parametrize("unique_keys", [False, True])
def test_devices_come_back(stock: Stock, unique_keys: bool) -> None:
    """All or chosen devices read back with matching keys, in the order asked for."""
    ids = numbered_ids(6)
    stock = stock.with_devices(ids, unique_keys=unique_keys)
    folder = load_folder(stock.folder.path)
    everything = load_devices(folder)
    assert tuple(each.device_id for each in everything) == ids
    assert all(is_pair(each.certificate, each.key) for each in everything)
    assert everything[0].chain == folder.device_authority.presented
    chosen = load_devices(folder, (ids[4], ids[1]))
    assert chosen[0].certificate == everything[4].certificate
    assert chosen[1].certificate == everything[1].certificate


def test_replaced_device_has_a_new_certificate(stock: Stock) -> None:
    """The current identity of a device is the one issued last."""
    stock = stock.with_devices(("A",))
    old = load_devices(stock.folder)[0]
    stock = stock.with_devices(("A",))
    (new,) = load_devices(stock.folder)
    assert new.certificate.serial_number != old.certificate.serial_number


def test_loading_devices_reports_everything_wrong(stock: Stock) -> None:
    """Unknown ids, open keys and garbled certificates come together."""
    stock = stock.with_devices(numbered_ids(3), unique_keys=True)
    path = stock.folder.path / "devices"
    (path / "00000001.key").chmod(0o644)
    (path / "00000002.pem").write_text("garbage")
    with pytest.raises(InputError) as caught:
        load_devices(stock.folder, (*numbered_ids(3), "FFFFFFFF"))
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "device FFFFFFFF: has no certificate" in text
    assert "chmod 600" in text
    assert "00000002.pem: not a readable PEM" in text


def test_swapped_keys_are_found(stock: Stock) -> None:
    """A key file that was exchanged for another device's is refused."""
    stock = stock.with_devices(("A", "B"), unique_keys=True)
    path = stock.folder.path / "devices"
    (path / "A.key").write_bytes((path / "B.key").read_bytes())
    with pytest.raises(InputError, match=r"A\.key: does not belong to .*A\.pem"):
        load_devices(stock.folder)


def test_an_interrupted_issue_changes_nothing(stock: Stock) -> None:
    """When the tenth certificate fails, the first nine and their keys go too."""
    before = stock.files()

    def failing() -> Iterator[DeviceIdentity]:
        yield from issue_devices(
            stock.folder.device_authority,
            numbered_ids(9),
            validity=YEAR,
            key_type=KeyType.P256,
        )
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_devices(
            stock.folder,
            failing(),
            key_type=KeyType.P256,
            unique_keys=False,
            issued_at=NOW,
        )
    assert stock.files() == before
    assert not (stock.folder.path / "devices").exists()


def test_revoked_certificates_are_on_their_issuers_list(stock: Stock) -> None:
    """A name or a serial is revoked, in the list of the authority that signed it."""
    stock = stock.with_server("localhost").with_devices(numbered_ids(3))
    devices = load_devices(stock.folder)
    server = load_server(stock.folder, "localhost")
    moment = NOW + timedelta(hours=1)
    folder, revoked = revoke(
        stock.folder,
        ["00000002", f"{server.certificate.serial_number:X}"],
        reason=Reason.KEY_COMPROMISE,
        at=moment,
    )
    assert {each.name for each in revoked} == {"00000002", "localhost"}
    assert {each.revoked_at for each in revoked} == {moment}
    folder = write_crls(folder, WEEK)
    assert revoked_serials(folder) == {
        folder.authorities["root"].certificate.subject: set(),
        folder.server_authority.certificate.subject: {server.certificate.serial_number},
        folder.device_authority.certificate.subject: {
            devices[1].certificate.serial_number
        },
    }
    assert load_folder(folder.path).index == folder.index


def test_a_name_revokes_all_its_certificates_a_serial_one(stock: Stock) -> None:
    """Replace, prove, then revoke the old one by serial: the new one stays good."""
    stock = stock.with_devices(("A",)).with_devices(("A",)).with_devices(("A",))
    oldest = stock.folder.index.of_kind(Kind.DEVICE)[0]
    folder, revoked = revoke(
        stock.folder, [f"0x{oldest.serial}"], reason=Reason.SUPERSEDED, at=NOW
    )
    assert [each.serial for each in revoked] == [oldest.serial]
    folder, revoked = revoke(folder, ["A"], reason=Reason.UNSPECIFIED, at=NOW)
    assert len(revoked) == 2
    assert oldest.serial not in {each.serial for each in revoked}


@pytest.mark.parametrize(
    ("selectors", "problems"),
    [
        pytest.param(["nobody"], ["no certificate has this name"], id="unknown"),
        pytest.param(["root"], ["a root cannot be revoked"], id="root"),
        pytest.param(["00000001"], ["already revoked since 2026-11-22"], id="twice"),
        pytest.param(
            ["00000002", "nobody", "root", ""],
            ["nobody", "root", "revoke"],
            id="several",
        ),
    ],
)
def test_unusable_selectors_change_nothing(
    stock: Stock, selectors: list[str], problems: list[str]
) -> None:
    """All wrong selectors are reported, and the right ones beside them do nothing."""
    folder, _ = revoke(
        stock.with_devices(numbered_ids(2)).folder,
        ["00000001"],
        reason=Reason.UNSPECIFIED,
        at=NOW,
    )
    before = stock.files()
    with pytest.raises(InputError) as caught:
        revoke(folder, selectors, reason=Reason.UNSPECIFIED, at=NOW)
    assert len(caught.value.problems) == len(problems)
    for problem, words in zip(caught.value.problems, problems, strict=True):
        assert words in str(problem)
    assert stock.files() == before


def test_an_intermediate_can_be_revoked(stock: Stock) -> None:
    """A compromised intermediate is on the root's list."""
    folder, _ = revoke(
        stock.folder, ["intermediate"], reason=Reason.CA_COMPROMISE, at=NOW
    )
    folder = write_crls(folder, WEEK)
    root = folder.authorities["root"].certificate
    assert revoked_serials(folder)[root.subject] == {
        folder.server_authority.certificate.serial_number
    }


def test_list_numbers_rise(stock: Stock) -> None:
    """Every writing of the lists has the next number, over restarts too."""
    write_crls(stock.folder, WEEK)
    write_crls(load_folder(stock.folder.path), WEEK)
    block = (stock.folder.path / "crl.pem").read_bytes()
    number = (
        x509.load_pem_x509_crl(block)
        .extensions.get_extension_for_class(x509.CRLNumber)
        .value
    )
    assert number.crl_number == 3
    assert load_folder(stock.folder.path).index.crl_number == 3


def test_seeded_serials_never_repeat_between_commands(stock: Stock) -> None:
    """One seed for the folder gives every command its own serial numbers."""
    stock = stock.with_devices(numbered_ids(5)).with_devices(numbered_ids(5))
    serials = [each.serial for each in stock.folder.index.certificates]
    assert len(set(serials)) == len(serials)


def test_a_full_disk_changes_nothing(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full, issuing is refused and the folder stays as it was."""
    before = stock.files()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            stock.with_server("localhost")
        with pytest.raises(InputError, match="No space left on device"):
            stock.with_devices(("A",))
    assert stock.files() == before


def test_a_file_in_the_place_of_a_sub_folder(stock: Stock) -> None:
    """A file called ``devices`` is named instead of a traceback."""
    (stock.folder.path / "devices").write_text("in the way")
    with pytest.raises(InputError, match="devices: Not a directory"):
        stock.with_devices(("A",))
