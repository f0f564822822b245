import json
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from fleetsim.cli.pki import app
from fleetsim.pki.folder import load_folder
from fleetsim.pki.inventory import load_devices, load_server


def run(*arguments: object) -> Result:
    """Run ``fleetsim pki`` with arguments."""
    runner = CliRunner(env={"COLUMNS": "100"})
    return runner.invoke(app, [str(each) for each in arguments])


def ok(*arguments: object) -> str:
    """Run a command that must succeed; returns what it printed."""
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A P-256 PKI made by the command line."""
    path = tmp_path / "pki"
    ok("init", path, "--key-type", "p256")
    return path


def snapshot(folder: Path) -> dict[Path, bytes]:
    """Read every file of a folder."""
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_init_makes_a_loadable_folder(folder: Path) -> None:
    """A new PKI has a root, one intermediate each and mode 0700."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    loaded = load_folder(folder)
    assert list(loaded.authorities) == ["root", "intermediate", "devices-ca"]
    subjects = [
        each.certificate.subject.rfc4514_string()
        for each in loaded.authorities.values()
    ]
    assert subjects == [
        "CN=fleetsim root", "CN=fleetsim intermediate", "CN=fleetsim devices-ca",
    ]  # fmt: skip


def test_init_without_intermediate(tmp_path: Path) -> None:
    """``--no-intermediate`` issues everything from the root."""
    path = tmp_path / "pki"
    ok("init", path, "--no-intermediate", "--key-type", "p256", "--ca-name", "Acme")
    loaded = load_folder(path)
    assert list(loaded.authorities) == ["root"]
    ok("issue", "server", path, "--name", "localhost", "--key-type", "p256")
    leaf = load_server(load_folder(path), "localhost")
    assert leaf.chain == ()
    assert leaf.certificate.issuer.rfc4514_string() == "CN=Acme root"


def test_init_twice_is_refused(folder: Path) -> None:
    """An existing PKI is never overwritten; exit code 2, nothing changed."""
    before = snapshot(folder)
    result = run("init", folder, "--key-type", "p256")
    assert result.exit_code == 2
    assert "exists and is not empty" in result.stderr
    assert snapshot(folder) == before


def test_seed_repeats_serial_numbers(tmp_path: Path) -> None:
    """Two folders of one seed have the same serials and different keys."""
    serials, keys = [], []
    for name in ("a", "b"):
        path = tmp_path / name
        ok("init", path, "--key-type", "p256", "--seed", 42)
        ok("issue", "devices", path, "--count", 2, "--key-type", "p256")
        serials.append([each.serial for each in load_folder(path).index.certificates])
        keys.append((path / "root.key").read_bytes())
    assert serials[0] == serials[1]
    assert len(set(serials[0])) == 5
    assert keys[0] != keys[1]


def test_issue_server_prints_its_files(folder: Path) -> None:
    """The files that were written are printed; the key itself never is."""
    printed = ok(
        "issue", "server", folder, "--name", "localhost", "--name", "s3.example.com",
        "--ip", "127.0.0.1", "--key-type", "p256",
    )  # fmt: skip
    assert str(folder / "server/localhost.chain.pem") in printed
    assert str(folder / "server/localhost.key") in printed
    assert "PRIVATE" not in printed
    leaf = load_server(load_folder(folder), "localhost")
    names = leaf.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "s3.example.com"]


def test_issue_server_profile_switches(folder: Path) -> None:
    """Switches and a lifetime of seconds reach the certificate."""
    ok(
        "issue", "server", folder, "--name", "localhost", "--no-common-name",
        "--no-key-encipherment", "--usage", "clientAuth", "--key-type", "rsa-1024",
        "--lifetime", "30s", "--starts-in", "-2d",
    )  # fmt: skip
    certificate = load_server(load_folder(folder), "localhost").certificate
    assert list(certificate.subject) == []
    period = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert period.total_seconds() == 30
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not usage.key_encipherment
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert [each.dotted_string for each in extended.value] == ["1.3.6.1.5.5.7.3.2"]


def test_rsa_512_needs_a_key_made_elsewhere(folder: Path, tmp_path: Path) -> None:
    """rsa-512 names the openssl command; its result is then accepted."""
    arguments = ("issue", "server", folder, "--name", "localhost")
    result = run(*arguments, "--key-type", "rsa-512")
    assert result.exit_code == 2
    assert "openssl genrsa -out FILE 512" in result.stderr
    key = tmp_path / "k512.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "512"], check=True)
    ok(*arguments, "--key", key)
    row = json.loads(ok("show", folder, "--json"))["certificates"][-1]
    assert row["key"] == "RSA 512"


def test_issue_devices_by_count_and_by_file(folder: Path, tmp_path: Path) -> None:
    """Ids are counted up in hex or read from a file."""
    arguments = ("issue", "devices", folder, "--key-type", "p256")
    ok(*arguments, "--count", 3, "--first-id", "2F6913DB", "--pool", 2)
    ids = tmp_path / "fleet.txt"
    ids.write_text("AAAAAAAA\n# comment\nBBBBBBBB\n")
    printed = ok(*arguments, "--ids", ids, "--unique-keys")
    assert "2 certificates, 2 p256 keys" in printed
    assert [each.device_id for each in load_devices(load_folder(folder))] == [
        "2F6913DB", "2F6913DC", "2F6913DD", "AAAAAAAA", "BBBBBBBB",
    ]  # fmt: skip
    batches = json.loads((folder / "pki.json").read_text())["batches"]
    assert [(each["keys"], each["unique_keys"]) for each in batches] == [
        (2, False), (2, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "either --count or --ids", id="neither"),
        pytest.param(["--count", "1", "--ids", "f"], "either --count or", id="both"),
        pytest.param(["--count", "0"], "--count", id="zero"),
        pytest.param(["--count", "-5"], "--count", id="negative"),
        pytest.param(["--count", "1", "--pool", "0"], "--pool", id="empty-pool"),
        pytest.param(
            ["--count", "1", "--first-id", "xyz"], "'xyz' is not hex", id="not-hex"
        ),
        pytest.param(
            ["--count", "2", "--first-id", "FFFFFFFF"], "8 hex digits", id="too-far"
        ),
        pytest.param(["--ids", "/nonexistent"], "No such file", id="no-file"),
        pytest.param(["--count", "1", "--lifetime", "3x"], "unknown unit", id="unit"),
        pytest.param(["--count", "1", "--lifetime", "-1s"], "negative", id="lifetime"),
        pytest.param(["--count", "1", "--starts-in", "soon"], "soon", id="start"),
        pytest.param(["--count", "1", "--key-type", "dsa"], "dsa", id="key-type"),
    ],
)
def test_unusable_options_exit_2_and_change_nothing(
    folder: Path, arguments: list[str], words: str
) -> None:
    """Every absurd option ends in a message, exit code 2 and an unchanged folder."""
    before = snapshot(folder)
    result = run("issue", "devices", folder, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert snapshot(folder) == before


def test_all_bad_names_are_reported_at_once(folder: Path) -> None:
    """Two wrong names and a wrong address are three lines on standard error."""
    result = run(
        "issue", "server", folder, "--name", "a..b", "--name", "c d", "--ip", "1.2"
    )
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 3
    assert result.stdout == ""


def test_server_without_name_is_refused(folder: Path) -> None:
    """A server certificate needs a name or an address."""
    result = run("issue", "server", folder)
    assert result.exit_code == 2
    assert "at least one DNS name or IP address" in result.stderr


def test_revoke_writes_the_list(folder: Path) -> None:
    """A revoked device is marked in the index and stands on the list."""
    ok("issue", "devices", folder, "--count", 2, "--key-type", "p256")
    printed = ok("revoke", folder, "00000002", "--reason", "keyCompromise")
    assert "revoked 00000002" in printed
    assert "number 2, 1 revoked" in printed
    listed = subprocess.run(
        ["openssl", "crl", "-text", "-noout"],
        input=b"-----BEGIN X509 CRL"
        + (folder / "crl.pem").read_bytes().split(b"-----BEGIN X509 CRL")[-1],
        capture_output=True,
        check=True,
    ).stdout.decode()
    serial = load_folder(folder).index.certificates[-1].serial
    assert serial.upper() in listed
    assert "Key Compromise" in listed


def test_revoke_can_leave_the_list_alone(folder: Path) -> None:
    """``--no-crl`` keeps a stale list, which is a test case of its own."""
    ok("issue", "devices", folder, "--count", 1, "--key-type", "p256")
    before = (folder / "crl.pem").read_bytes()
    ok("revoke", folder, "00000001", "--no-crl")
    assert (folder / "crl.pem").read_bytes() == before


def test_revoking_the_unknown_is_refused(folder: Path) -> None:
    """All unknown names are reported; nothing changes."""
    before = snapshot(folder)
    result = run("revoke", folder, "nobody", "root")
    assert result.exit_code == 2
    assert "nobody" in result.stderr
    assert "a root cannot be revoked" in result.stderr
    assert snapshot(folder) == before


def test_crl_lifetime_and_expired_lists(folder: Path) -> None:
    """The list's period is chosen; it may lie in the past."""
    ok("crl", folder, "--lifetime", "1h", "--starts-in", "-2h")
    crl = x509.load_pem_x509_crl((folder / "crl.pem").read_bytes())
    assert crl.next_update_utc is not None
    assert (crl.next_update_utc - crl.last_update_utc).total_seconds() == 3600
    created = load_folder(folder).index.created
    assert crl.next_update_utc < created


def test_expired_ca_needs_a_decision(tmp_path: Path) -> None:
    """Issuing from an expired CA is refused unless asked for."""
    path = tmp_path / "pki"
    ok("init", path, "--key-type", "p256", "--lifetime", "1h", "--starts-in", "-2h")
    for arguments in (
        ("issue", "server", path, "--name", "localhost", "--key-type", "p256"),
        ("issue", "devices", path, "--count", "1", "--key-type", "p256"),
        ("crl", path),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "expired at" in result.stderr
        ok(*arguments, "--allow-expired")
    ok("show", path)


def test_show_as_a_table(folder: Path) -> None:
    """The table names every authority and server, ten devices and how many more."""
    ok("issue", "server", folder, "--name", "localhost", "--key-type", "p256")
    ok("issue", "devices", folder, "--count", 12, "--key-type", "p256")
    ok("revoke", folder, "00000003", "--reason", "superseded")
    printed = ok("show", folder)
    for words in ("root", "intermediate", "localhost", "0000000A", "superseded"):
        assert words in printed
    assert "0000000B" not in printed
    assert "2 more devices (--all)" in printed
    assert "0000000B" in ok("show", folder, "--all")


def test_show_as_json(folder: Path) -> None:
    """``--json`` is one document with every certificate, and nothing secret."""
    ok("issue", "devices", folder, "--count", 12, "--key-type", "p256")
    printed = ok("show", folder, "--json")
    document = json.loads(printed)
    assert document["schema_version"] == 1
    assert len(document["certificates"]) == 15
    assert document["certificates"][-1]["subject"] == "CN=0000000C"
    assert "PRIVATE" not in printed


def test_damaged_folders_exit_2(folder: Path) -> None:
    """Open and missing keys are all named on standard error."""
    (folder / "root.key").chmod(0o644)
    (folder / "intermediate.key").unlink()
    for arguments in (("show", folder), ("issue", "server", folder, "--name", "x")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "chmod 600" in result.stderr
        assert "intermediate.key: No such file" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("show",), id="show"),
        pytest.param(("crl",), id="crl"),
        pytest.param(("issue", "server", "--name", "x"), id="issue-server"),
        pytest.param(("issue", "devices", "--count", "1"), id="issue-devices"),
    ],
)
def test_a_folder_that_is_no_pki(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """An empty and a missing folder end in exit code 2."""
    for path in (tmp_path, tmp_path / "gone"):
        result = run(*arguments, path)
        assert result.exit_code == 2
        assert str(path) in result.stderr


def test_help_has_examples() -> None:
    """Every command shows how it is called."""
    for command in (
        ("init",), ("issue", "server"), ("issue", "devices"), ("revoke",), ("crl",),
        ("show",),
    ):  # fmt: skip
        assert f"fleetsim pki {' '.join(command)} pki" in ok(*command, "--help")
