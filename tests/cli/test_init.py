import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from fleetsim.cli.init import init_command
from fleetsim.cli.scenario_files import find_scenario, library_names
from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario

SECRET = "hush/hush+hush"
CONFIG = {
    "connect": {
        "wifi": {"accesspoint": [{"ssid": "home", "pwd": SECRET}]},
        "s3": {
            "sync": {"ota": 600, "heartbeat": 300, "logfiles": 1},
            "server": {
                "endpoint": "https://s3.example.org",
                "port": 9000,
                "bucket": "fleetbucket",
                "region": "eu-central-1",
                "request_style": 0,
                "accesskey": "PRDDKN8R6PAAOGTEI53E",
                "keyformat": 0,
                "secretkey": SECRET,
                "signed_payload": 0,
            },
        },
    },
    "log": {"file": {"split_size": 50, "split_time_period": 600}},
}

app = typer.Typer()
app.command()(init_command)
runner = CliRunner()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working directory with a device configuration in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config-01.07.json").write_text(json.dumps(CONFIG))
    return tmp_path


def _init(*arguments: str) -> Result:
    return runner.invoke(app, arguments)


def _problem(result: Result) -> str:
    assert isinstance(result.exception, InputError)
    return str(result.exception)


def test_from_config(folder: Path) -> None:
    """The file written is a valid scenario of that many devices, named after it."""
    result = _init(
        *("--from-config", "config-01.07.json", "--count", "250", "-o", "My Fleet.yaml")
    )
    assert result.exit_code == 0
    text = (folder / "My Fleet.yaml").read_text()
    scenario = parse_scenario(text, "s", lambda name: catalog.load(name).profile)
    assert scenario.name == "my-fleet"
    assert scenario.cohorts[0].count == 250
    assert "fleetsim check" in result.stderr


def test_no_secret_is_written(folder: Path) -> None:
    """Neither the file nor the output holds a secret of the configuration."""
    result = _init("--from-config", "config-01.07.json")
    text = (folder / "fleet.yaml").read_text() + result.output
    for secret in (SECRET, "PRDDKN8R6PAAOGTEI53E", "home"):
        assert secret not in text


def test_standard_output(folder: Path) -> None:
    """With - the scenario goes to standard output and no file is written."""
    result = _init("--from-config", "config-01.07.json", "-o", "-")
    parse_scenario(result.stdout, "s", lambda name: catalog.load(name).profile)
    assert sorted(path.name for path in folder.iterdir()) == ["config-01.07.json"]


def test_no_overwriting(folder: Path) -> None:
    """An existing file stays as it is unless --force is given."""
    (folder / "fleet.yaml").write_text("precious")
    refused = _init("--from-config", "config-01.07.json")
    assert "--force" in _problem(refused)
    assert (folder / "fleet.yaml").read_text() == "precious"
    assert _init("--from-config", "config-01.07.json", "--force").exit_code == 0
    assert "fleetbucket" in (folder / "fleet.yaml").read_text()


@pytest.mark.parametrize("name", library_names())
def test_library_scenario(folder: Path, name: str) -> None:
    """A library scenario is copied byte for byte under its name."""
    assert _init(name).exit_code == 0
    assert (folder / f"{name}.yaml").read_text() == find_scenario(name).read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--from-config FILE"),
        (("nothing-like-it",), "no library scenario"),
        (("quickstart", "--from-config", "config-01.07.json"), "not both"),
        (("quickstart", "--count", "5"), "--count"),
        (("--from-config", "missing.json"), "missing.json"),
        (("--from-config", "."), "directory"),
        (
            ("--from-config", "config-01.07.json", "-o", "no/such/x.yaml"),
            "No such file",
        ),
    ],
)
def test_bad_usage(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    """Whatever cannot be done is said in one sentence and nothing is written."""
    before = sorted(path.name for path in folder.iterdir())
    assert says in _problem(_init(*arguments))
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "connect.s3.server.endpoint: is needed"),
        ("{", "not JSON"),
        (json.dumps(CONFIG).replace("9000", "0"), "connect.s3.server.port"),
        (json.dumps(CONFIG).replace("fleetbucket", "ab"), "target.bucket"),
        (
            json.dumps(CONFIG).replace("fleetbucket", "a..b"),
            "target.bucket",
        ),
    ],
)
def test_bad_configuration(folder: Path, content: str, says: str) -> None:
    """A configuration no scenario can be made of leaves no file behind."""
    (folder / "config-01.07.json").write_text(content)
    result = _init("--from-config", "config-01.07.json")
    assert says in _problem(result)
    assert not (folder / "fleet.yaml").exists()
    assert SECRET not in _problem(result)


@pytest.mark.parametrize("count", ["0", "-1", "1000001", "many"])
def test_absurd_counts(count: str) -> None:
    """Zero, negative and absurd numbers of devices are bad usage."""
    assert _init("--from-config", "config-01.07.json", "--count", count).exit_code == 2
