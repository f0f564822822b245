"""``fleetsim forecast``."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from fleetsim.pki.bundle import encode_bundle
from tests.forecast.fleet import ISSUER, NEW_ROOT, NEW_SERVER, ROOT, SERVER
from tests.transport.certificates import Issued, leaf

NAMELESS = leaf("storage.test", parent=ISSUER, dns=(), addresses=())


def forecast(*arguments: object) -> Result:
    """Run the command."""
    words = ["forecast", *map(str, arguments)]
    return CliRunner().invoke(app, words, env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles and chains as an operator has them."""
    made = tmp_path_factory.mktemp("files")
    bundles = {"old.p7b": (ROOT,), "both.p7b": (ROOT, NEW_ROOT), "empty.p7b": ()}
    for name, anchors in bundles.items():
        data = encode_bundle([one.certificate for one in anchors])
        (made / name).write_bytes(data)
    chains: dict[str, Issued] = {
        "old.pem": SERVER,
        "new.pem": NEW_SERVER,
        "nameless.pem": NAMELESS,
    }
    for name, issued in chains.items():
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in issued.chain)
        (made / name).write_bytes(pem)
    (made / "garbage.pem").write_text("no certificate")
    return made


def test_files_are_forecast(folder: Path) -> None:
    """Who connects, from when to when, why not, and when to switch."""
    result = forecast(
        *("--bundle", folder / "old.p7b", "--bundle", folder / "both.p7b"),
        *("--chain", folder / "old.pem", "--chain", folder / "new.pem"),
        *("--from", "2026-01-01", "--to", "2028-01-01"),
    )
    assert result.exit_code == 0, result.output
    for words in (
        "profile canedge2, table winc-ecdhe-last (group 1, group 2, group 3)",
        "endpoint storage.test",
        "Trusting old.p7b, served new.pem",
        "2026-01-01   2028-01-01       yes       yes       yes",
        "2026-01-01   2028-01-01        no        no        no   (1)",
        "(1) tls.verify.unable_to_get_issuer_cert_locally",
        "old.p7b: from old.pem to new.pem: never safe",
        "both.p7b: from old.pem to new.pem: safe from now to the end",
        "handshakes in memory",
    ):
        assert words in result.stdout


def test_the_forecast_is_one_json_object(folder: Path) -> None:
    """For programs: nothing but JSON on standard output."""
    result = forecast(
        *("--bundle", folder / "empty.p7b", "--chain", folder / "old.pem", "--json"),
        *("--host", "10.1.1.1", "--profile", "generic-tls13"),
    )
    (found,) = json.loads(result.stdout)["forecasts"]
    assert found["profile"] == "generic-tls13"
    assert found["host"] == "10.1.1.1"
    (span,) = found["coverage"][0]["spans"]
    assert span["why"] == "device.no_trusted_certificates (the bundle is empty)"
    assert found["bundles"][0]["findings"][0]["rule"] == "empty"


@pytest.mark.parametrize(
    ("chain", "host"), [("old.pem", "storage.test"), ("nameless.pem", "storage.test")]
)
def test_the_host_is_read_from_the_chain(folder: Path, chain: str, host: str) -> None:
    """The first alternative name, else the common name."""
    result = forecast(
        *("--bundle", folder / "old.p7b", "--chain", folder / chain, "--json")
    )
    assert json.loads(result.stdout)["forecasts"][0]["host"] == host


def test_ciphers_narrow_the_server(folder: Path) -> None:
    """With them a group that has none in common does not connect."""
    result = forecast(
        *("--bundle", folder / "old.p7b", "--chain", folder / "old.pem", "--json"),
        *("--ciphers", "ECDHE-RSA-AES128-GCM-SHA256", "--cipher-table"),
        "winc-ecdhe-last",
    )
    (span,) = json.loads(result.stdout)["forecasts"][0]["coverage"][0]["spans"]
    assert [each["ok"] for each in span["groups"].values()] == [False, False, True]


def test_a_scenario_is_forecast_cohort_by_cohort() -> None:
    """Its lab's certificates are made, nothing is started."""
    result = forecast("quickstart", "--json")
    assert result.exit_code == 0, result.output
    titles = [each["devices"] for each in json.loads(result.stdout)["forecasts"]]
    assert titles == [
        "cohort ordinary, front main",
        "cohort modern_server, front ecdhe_only",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("--bundle", "--chain", "--host")),
        (("--bundle", "old.p7b"), ("--chain", "--host")),
        (("--chain", "missing.pem", "--chain", "garbage.pem"), ("missing", "garbage")),
        (("--bundle", "missing.p7b", "--chain", "old.pem"), ("missing.p7b",)),
        (("--from", "yesterday", "--to", "2020-13-01"), ("--from", "--to")),
        (("--from", "2026-01-02", "--to", "2026-01-01"), ("not after --from",)),
        (("--profile", "canedge9"), ("unknown profile 'canedge9'",)),
        (("--cipher-table", "winc-nonec"), ("winc-nonecc",)),
        (
            ("--bundle", "old.p7b", "--chain", "old.pem", "--ciphers", "NONE"),
            ("cipher_list",),
        ),
        (("no-such-scenario",), ("no-such-scenario",)),
    ],
)
def test_bad_input_is_refused_with_every_problem(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    """Exit code 2 and nothing on standard output."""
    monkeypatch.chdir(folder)
    result = forecast(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr
