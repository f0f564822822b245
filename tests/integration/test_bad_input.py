"""Whatever is wrong: one clear message, the documented exit code, nothing half-written."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from tests.integration.runs import FLEETSIM, cohort, scenario

pytestmark = pytest.mark.slow

SECRET = "wrong-secret-key-that-nobody-may-see"


@dataclass(frozen=True)
class Lab:
    """A lab that stands for somebody's S3 server."""

    endpoint: str
    port: int
    ca_file: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An HTTPS endpoint on loopback with a bucket ``fleet``."""
    pki = tmp_path_factory.mktemp("target") / "pki"
    arguments = [*FLEETSIM, "lab", "--port", "0", "--json", "--pki", str(pki)]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=clean) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        yield Lab(
            endpoint=facts["endpoint"],
            port=int(facts["endpoint"].rsplit(":", 1)[1]),
            ca_file=facts["ca_path"],
            environment={
                "AWS_ACCESS_KEY_ID": facts["access_key_id"],
                "AWS_SECRET_ACCESS_KEY": facts["secret_access_key"],
            },
        )
        process.send_signal(signal.SIGINT)


@pytest.fixture
def fleetsim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Run a scenario with the program's own command, in this process."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    before = signal.getsignal(signal.SIGTERM)

    def run(data: dict[str, Any], *options: str, **environment: str) -> Result:
        path = tmp_path / "s.yaml"
        path.write_text(json.dumps(data))
        results = () if "--results" in options else ("--results", f"{tmp_path}/results")
        arguments = ["run", str(path), *results, *options]
        return CliRunner().invoke(app, arguments, env=environment)

    yield run
    signal.signal(signal.SIGTERM, before)


def small(**changes: Any) -> dict[str, Any]:
    """A scenario of one device and one second."""
    one = {"count": 1, **changes.pop("cohort", {})}
    return scenario(cohort("a", **one), **{"duration": "1s", "drain": "1s", **changes})


def target(lab: Lab, **changes: Any) -> dict[str, Any]:
    """The lab as a target."""
    return {
        "endpoint": lab.endpoint,
        "bucket": "fleet",
        "ca_file": lab.ca_file,
        **changes,
    }


def refused(result: Result, code: int, *words: str, folder: Path) -> None:
    """One message with these words, this exit code, no traceback, nothing written."""
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr
    assert not (folder / "results").exists()


# ---------------------------------------------------------------- the scenario


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(
            {"cohort": {"profile": "canedge9"}}, ("canedge9", "canedge2"), id="profile"
        ),
        pytest.param(
            {"cohort": {"workload": {"file_size": "-4KiB"}}}, ("file_size",), id="size"
        ),
        pytest.param(
            {"cohort": {"workload": {"file_size": "9999PiB"}}},
            ("file_size",),
            id="absurd size",
        ),
        pytest.param({"cohort": {"count": 0}}, ("count",), id="no devices"),
        pytest.param({"cohorts": []}, ("cohorts",), id="no cohorts"),
        pytest.param({"duration": "-1s"}, ("duration",), id="negative duration"),
        pytest.param(
            {"cohort": {"trust": {"file": "nowhere.p7b"}}},
            ("nowhere.p7b", "No such file"),
            id="bundle missing",
        ),
        pytest.param(
            {"cohort": {"trust": {"file": "."}}}, ("directory",), id="bundle a folder"
        ),
        pytest.param(
            {
                "cohort": {
                    "security": "high",
                    "client_certificates": {"pki": "nowhere"},
                    "trust": "empty",
                },
                "target": {"endpoint": "https://localhost:9", "bucket": "fleet"},
            },
            ("nowhere", "No such file"),
            id="PKI folder missing",
        ),
    ],
)
def test_bad_scenarios(
    fleetsim: Callable[..., Result],
    tmp_path: Path,
    changes: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    """What a scenario asks for and cannot have is bad input: 2."""
    refused(fleetsim(small(**changes)), 2, *words, folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(("--seed", "-1"), "seed", id="seed"),
        pytest.param(("--set", "cohort.count=1"), "cohort", id="--set path"),
        pytest.param(("--set", "cohorts[b].count=1"), "b", id="--set cohort"),
        pytest.param(("--set", "duration"), "duration", id="--set without value"),
        pytest.param(
            ("--source-address", "192.0.2.1"), "192.0.2.1", id="foreign address"
        ),
        pytest.param(("--source-address", "here"), "here", id="no address"),
    ],
)
def test_bad_options(
    fleetsim: Callable[..., Result], tmp_path: Path, options: tuple[str], words: str
) -> None:
    """Options are checked as the scenario is."""
    refused(fleetsim(small(), *options), 2, words, folder=tmp_path)


def test_no_such_scenario(tmp_path: Path) -> None:
    """A name that is neither a file nor in the library, with a hint."""
    result = CliRunner().invoke(app, ["run", "quikstart"])
    refused(result, 2, "quikstart", "quickstart", folder=tmp_path)


def test_a_scenario_that_is_no_text(tmp_path: Path) -> None:
    """A binary file is refused with its name and line."""
    path = tmp_path / "s.yaml"
    path.write_bytes(b"version: 1\n\xff\xfe")
    refused(CliRunner().invoke(app, ["run", str(path)]), 2, "s.yaml:2", folder=tmp_path)


def test_results_are_a_file(fleetsim: Callable[..., Result], tmp_path: Path) -> None:
    """A results folder that cannot be made: 1, and its name."""
    (tmp_path / "taken").write_text("")
    result = fleetsim(small(), "--results", str(tmp_path / "taken"))
    refused(result, 1, "taken", folder=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_results_are_not_writable(
    fleetsim: Callable[..., Result], tmp_path: Path
) -> None:
    """No permission: 1, and the folder's name."""
    (tmp_path / "locked").mkdir(mode=0o500)
    result = fleetsim(small(), "--results", str(tmp_path / "locked"))
    refused(result, 1, "locked", folder=tmp_path)


# ---------------------------------------------------------------- bundles, as data


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        pytest.param(b"garbage", "unreadable", id="garbled"),
        pytest.param(b"-" * 100_000, "too_large", id="oversized"),
    ],
)
def test_a_bad_bundle_is_the_devices_business(
    fleetsim: Callable[..., Result], tmp_path: Path, content: bytes, rule: str
) -> None:
    """The run goes on, says which rule was broken, and records untrusting devices."""
    (tmp_path / "bundle.p7b").write_bytes(content)
    data = small(cohort={"trust": {"file": "bundle.p7b"}})
    result = fleetsim(data, "--json")
    assert result.exit_code == 0, result.output
    assert rule in result.stderr
    summary = json.loads(result.stdout)
    assert set(summary["failures"]) <= {
        "device.no_trusted_certificates",
        "run.stopped",
    }
    (folder,) = (tmp_path / "results").iterdir()
    assert rule in (folder / "timeline.jsonl").read_text()


# ---------------------------------------------------------------- the PKI folder


MUTUAL = {
    "cohort": {
        "security": "high",
        "client_certificates": {"pki": "pki"},
        "trust": "empty",
    },
    "target": {"endpoint": "https://localhost:9", "bucket": "fleet"},
}
"""Devices with certificates of our own PKI, against a target that is not there."""


def device_key(pki: Path) -> Path:
    """The key of the authority that issues devices."""
    (found,) = [each for each in pki.rglob("*.key") if "devices" in str(each)]
    return found


def mismatch(pki: Path) -> None:
    """The key belongs to another certificate."""
    (root,) = [each for each in pki.rglob("*.key") if "root" in each.name]
    shutil.copyfile(root, device_key(pki))


def encrypt(pki: Path) -> None:
    """The key is encrypted."""
    path = device_key(pki)
    key = load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")
        )
    )


def expose(pki: Path) -> None:
    """Everybody may read the key."""
    device_key(pki).chmod(0o644)


def garble(pki: Path) -> None:
    """The key is no key."""
    device_key(pki).write_text("garbage")


def tidy(pki: Path) -> None:
    """The key is gone."""
    device_key(pki).unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(mismatch, "does not belong", id="another key"),
        pytest.param(encrypt, "encrypted", id="encrypted"),
        pytest.param(expose, "chmod", id="permissions"),
        pytest.param(garble, "key", id="garbled"),
        pytest.param(tidy, "No such file", id="missing"),
    ],
)
def test_a_damaged_pki_folder(
    fleetsim: Callable[..., Result],
    tmp_path: Path,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    """Devices cannot be issued certificates: 2, naming the file, before anything starts."""
    pki = tmp_path / "pki"
    made = CliRunner().invoke(app, ["pki", "init", str(pki)])
    assert made.exit_code == 0, made.output
    damage(pki)
    data = small(**MUTUAL)
    refused(fleetsim(data), 2, words, str(pki), folder=tmp_path)


def test_an_expired_authority(fleetsim: Callable[..., Result], tmp_path: Path) -> None:
    """A CA past its notAfter issues nothing."""
    pki = tmp_path / "pki"
    made = CliRunner().invoke(
        app, ["pki", "init", str(pki), "--lifetime", "1s", "--starts-in=-1h"]
    )
    assert made.exit_code == 0, made.output
    data = small(**MUTUAL)
    refused(fleetsim(data), 2, "expired", "devices-ca", folder=tmp_path)


# ---------------------------------------------------------------- the target


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_real_target_works(
    fleetsim: Callable[..., Result], lab: Lab, tmp_path: Path
) -> None:
    """The other tests of this part fail for their own reason: all is well without it."""
    data = small(target=target(lab), cohort={"count": 5}, duration="2s")
    result = fleetsim(data, "--json", **lab.environment)
    assert result.exit_code == 0, result.output
    uploads = json.loads(result.stdout)["uploads"]
    assert uploads["stored"] == uploads["acknowledged"] > 0
    text = "".join(
        each.read_text(errors="replace")
        for each in tmp_path.rglob("*")
        if each.is_file()
    )
    assert lab.environment["AWS_SECRET_ACCESS_KEY"] not in text


@pytest.mark.parametrize(
    ("changes", "environment", "words"),
    [
        pytest.param({"bucket": "nobodys"}, {}, ("nobodys",), id="no bucket"),
        pytest.param(
            {}, {"AWS_SECRET_ACCESS_KEY": SECRET}, ("signature",), id="wrong secret"
        ),
        pytest.param(
            {}, {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, ("access key",), id="unknown key"
        ),
        pytest.param({"ca_file": None}, {}, ("ertificate",), id="untrusted server"),
        pytest.param(
            {"endpoint": "http://localhost:{port}"}, {}, ("https",), id="HTTP to HTTPS"
        ),
        pytest.param(
            {"endpoint": "https://localhost:{free}"}, {}, ("localhost",), id="refused"
        ),
        pytest.param(
            {"endpoint": "https://nowhere.invalid"}, {}, ("nowhere.invalid",), id="DNS"
        ),
    ],
)
def test_unusable_targets(
    fleetsim: Callable[..., Result],
    lab: Lab,
    tmp_path: Path,
    *,
    changes: dict[str, Any],
    environment: dict[str, str],
    words: tuple[str, ...],
) -> None:
    """A target that cannot be used is 3, before a device is started."""
    wanted = target(lab, **changes)
    wanted = {key: value for key, value in wanted.items() if value is not None}
    ports = {"port": lab.port, "free": free_port()}
    wanted["endpoint"] = wanted["endpoint"].format(**ports)
    plain = wanted["endpoint"].startswith("http:")
    if plain:
        wanted.pop("ca_file", None)
    trust = {} if plain or "ca_file" in wanted else {"trust": {"file": lab.ca_file}}
    result = fleetsim(
        small(target=wanted, cohort=trust), **{**lab.environment, **environment}
    )
    refused(result, 3, *words, folder=tmp_path)
    assert len(result.stderr.strip().splitlines()) == 1


def test_no_credentials_at_all(
    fleetsim: Callable[..., Result], lab: Lab, tmp_path: Path
) -> None:
    """Without keys there is nothing to sign with: bad input, and what to set."""
    result = fleetsim(small(target=target(lab)))
    refused(result, 2, "AWS_ACCESS_KEY_ID", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "ca.pem", id="missing"),
        pytest.param(b"garbage", "ca.pem", id="garbled"),
    ],
)
def test_ca_file(
    fleetsim: Callable[..., Result],
    lab: Lab,
    tmp_path: Path,
    content: bytes | None,
    words: str,
) -> None:
    """A CA file that is missing or holds no certificate is bad input."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    data = small(target=target(lab, ca_file="ca.pem"))
    refused(fleetsim(data, **lab.environment), 2, words, folder=tmp_path)
