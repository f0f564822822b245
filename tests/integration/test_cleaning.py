"""Runs against somebody's bucket: what they leave behind, and what is deleted again."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from tests.integration.runs import cohort, scenario
from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    RunningLab,
    running_lab,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home")]

FOREIGN = "not-a-device/of ours.txt"


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    """Somebody's S3 server."""
    with running_lab() as running:
        yield running


@pytest.fixture
def home(
    lab: RunningLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a scenario, and credentials in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    data = scenario(
        cohort("a", 3),
        duration="1s",
        drain="1s",
        seed=7,
        target={"endpoint": lab.url, "bucket": BUCKET},
        timeline=[
            {"name": "push", "at": "300ms", "push_firmware": {"version": "01.07.06"}}
        ],
    )
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def objects(lab: RunningLab) -> dict[str, Any]:
    """Everything in the bucket."""
    found: dict[str, Any] = lab.store.buckets[BUCKET].objects
    return found


def fleetsim(*arguments: str, answer: str | None = None) -> Result:
    """Run a command of the program."""
    return CliRunner().invoke(app, arguments, input=answer)


def put(lab: RunningLab, key: str) -> None:
    """Store an object as somebody else."""
    import boto3  # noqa: PLC0415  # only this test needs it

    boto3.client(
        "s3",
        endpoint_url=lab.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    ).put_object(Bucket=BUCKET, Key=key, Body=b"somebody else's")


def test_a_run_with_clean_leaves_only_what_was_there(lab: RunningLab) -> None:
    """Uploads, heartbeats, configurations, schemas and pushes are gone, others stay."""
    put(lab, FOREIGN)
    result = fleetsim("run", "s.yaml", "--clean", "--json")
    assert result.exit_code == 0, result.output
    assert list(objects(lab)) == [FOREIGN]
    summary = json.loads(result.stdout)
    assert summary["uploads"]["stored"] == summary["uploads"]["acknowledged"] > 0
    deleted = summary["clean"]["deleted_count"]
    assert deleted > summary["uploads"]["stored"] + 3 * 3
    assert f"deleted {deleted} objects of this run" in result.stderr
    assert (summary["clean"]["kept_count"], summary["clean"]["absent_count"]) == (0, 0)


def test_a_run_is_cleaned_up_later(lab: RunningLab, home: Path) -> None:
    """Look, be refused without --yes, delete; what somebody else put there stays."""
    assert fleetsim("run", "s.yaml", "--quiet").exit_code == 0
    stored = set(objects(lab))
    assert {key.partition("/")[2] for key in stored} >= {"firmware.bin", "device.json"}
    replaced = next(key for key in stored if key.endswith("device.json"))
    put(lab, FOREIGN)
    put(lab, replaced)
    ours = stored - {replaced}
    before = set(objects(lab))

    looked = fleetsim("clean", "--dry-run")
    assert looked.exit_code == 0, looked.output
    assert set(looked.stdout.splitlines()) == ours
    assert f"would delete {len(ours)} objects" in looked.stderr

    refused = fleetsim("clean")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--yes" in refused.stderr
    assert set(objects(lab)) == before

    done = fleetsim("clean", "latest", "--yes", "--json")
    assert done.exit_code == 0, done.output
    assert set(objects(lab)) == {FOREIGN, replaced}
    answer = json.loads(done.stdout)
    assert answer["deleted_count"] == len(ours)
    assert answer["kept"] == [replaced]

    again = fleetsim("clean", "--yes")
    assert again.exit_code == 0
    assert "deleted 0 objects" in again.stdout
    assert f"not in the bucket any more: {len(ours)} objects" in again.stdout
    (folder,) = (home / "results").iterdir()
    everything = "".join(
        path.read_text(errors="replace") for path in folder.iterdir() if path.is_file()
    )
    assert SECRET_KEY not in everything


def test_a_run_that_goes_on_is_left_alone(lab: RunningLab, home: Path) -> None:
    """Killed a moment ago or still at work: nobody can tell; an hour later it is over."""
    assert fleetsim("run", "s.yaml", "--quiet").exit_code == 0
    (folder,) = (home / "results").iterdir()
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    running = {**manifest, "outcome": "running", "ended": None}
    path.write_text(json.dumps(running))
    refused = fleetsim("clean", "--yes")
    assert refused.exit_code == 2
    assert "seems to go on" in refused.stderr
    assert len(objects(lab)) > 3
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    path.write_text(json.dumps({**running, "started": hour_ago.isoformat()}))
    done = fleetsim("clean", "--yes")
    assert done.exit_code == 0, done.output
    assert "kept" in done.stdout, "its time has passed: these are another run's objects"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"scenario": {"version": 1}}, "no scenario"),
        ({"target": {"host": "x"}}, "no target"),
        ({"started": "yesterday"}, "when it was"),
    ],
    ids=["scenario", "target", "times"],
)
def test_a_damaged_manifest_is_bad_input(
    home: Path, damage: dict[str, Any], words: str
) -> None:
    """2, with the folder and what is missing; nothing is deleted."""
    folder = home / "results" / "20260101T000000Z-x-000000"
    folder.mkdir(parents=True)
    (home / "s.json").write_text("{}")
    manifest = {
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:01:00Z",
        "scenario": json.loads((home / "s.yaml").read_text()),
        **damage,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    result = fleetsim("clean", "--yes")
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert str(folder.relative_to(home)) in result.stderr


def test_the_bucket_of_a_lab_is_gone(home: Path) -> None:
    """With a lab --clean works during the run; later there is nothing to open."""
    quick = ("--set", "duration=1s", "--set", "drain=1s")
    (home / "l.yaml").write_text(
        json.dumps(scenario(cohort("a", 2), duration="1s", drain="1s"))
    )
    ran = fleetsim("run", "l.yaml", "--clean", *quick)
    assert ran.exit_code == 0, ran.output
    assert "objects of this run" in ran.stderr
    later = fleetsim("clean", "--yes")
    assert later.exit_code == 2
    assert "lab" in later.stderr


# ---------------------------------------------------------------- push


BUNDLE = "certs_server.p7b"


def test_push_stores_for_the_devices_of_a_scenario(lab: RunningLab, home: Path) -> None:
    """One object for every device; its size and digest are told."""
    fleetsim("pki", "init", "pki")
    data = (home / "pki" / BUNDLE).read_bytes()
    looked = fleetsim("push", f"pki/{BUNDLE}", "--scenario", "s.yaml", "--dry-run")
    assert looked.exit_code == 0, looked.output
    keys = set(looked.stdout.splitlines())
    assert len(keys) == 3
    assert objects(lab) == {}
    done = fleetsim("push", f"pki/{BUNDLE}", "--scenario", "s.yaml", "--cohort", "a")
    assert done.exit_code == 0, done.output
    assert set(objects(lab)) == keys
    assert {each.size for each in objects(lab).values()} == {len(data)}
    assert "for 3 devices" in done.stdout
    assert SECRET_KEY not in done.output


def test_push_makes_a_bucket_when_asked(lab: RunningLab, home: Path) -> None:
    """Without a scenario: bucket, endpoint and devices by name."""
    (home / "new.bin").write_bytes(b"FIRMWARE\x01\x02\x03")
    arguments = (
        *("push", "new.bin", "--as", "firmware.bin", "--bucket", "made-by-push"),
        *("--endpoint", lab.url, "--device", "0000002a", "--device", "0000002B"),
    )
    missing = fleetsim(*arguments)
    assert missing.exit_code == 3
    assert "--create-bucket" in missing.stderr
    done = fleetsim(*arguments, "--create-bucket")
    assert done.exit_code == 0, done.output
    assert set(lab.store.buckets["made-by-push"].objects) == {
        "0000002A/firmware.bin",
        "0000002B/firmware.bin",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.txt", "--bucket", "somebodys", "--device", "0000002A"], "--as"),
        ([BUNDLE, "--bucket", "somebodys", "--device", "0000002A"], "unreadable"),
        (
            ["config-01.07.json", "--bucket", "somebodys", "--device", "0000002A"],
            "JSON",
        ),
        (["firmware.bin", "--bucket", "somebodys", "--device", "0000002A"], "version"),
        (["nowhere/firmware.bin", "--bucket", "somebodys"], "No such file"),
        ([BUNDLE, "--force"], "--bucket"),
        ([BUNDLE, "--force", "--bucket", "somebodys"], "--device"),
        (
            [BUNDLE, "--force", "--bucket", "somebodys", "--device", "12"],
            "eight hex digits",
        ),
        ([BUNDLE, "--force", "--bucket", "A/B", "--device", "0000002A"], "--bucket: "),
        ([BUNDLE, "--scenario", "s.yaml", "--bucket", "somebodys"], "--set"),
        ([BUNDLE, "--force", "--scenario", "s.yaml", "--cohort", "b"], "no cohort"),
        (["firmware.bin", "--force", "--scenario", "quickstart"], "lab"),
    ],
)
def test_push_refuses_before_it_sends(
    lab: RunningLab, home: Path, arguments: list[str], words: str
) -> None:
    """Objects that devices would refuse, and options that do not fit together: 2."""
    for name in ("x.txt", BUNDLE, "config-01.07.json", "firmware.bin"):
        (home / name).write_bytes(b"rubbi")
    result = fleetsim("push", *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert words in result.stderr
    assert objects(lab) == {}


def test_push_insists_when_told_to(lab: RunningLab, home: Path) -> None:
    """--force sends what a rehearsal of a mistake needs, and says what is wrong."""
    (home / BUNDLE).write_bytes(b"rubbish")
    result = fleetsim("push", BUNDLE, "--scenario", "s.yaml", "--force")
    assert result.exit_code == 0, result.output
    assert "unreadable" in result.stderr
    assert len(objects(lab)) == 3
