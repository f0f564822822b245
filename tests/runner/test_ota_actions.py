"""OtaDesk: real objects in seeded waves, paused by a rule, proved by device.json."""

import hashlib
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core import device_config
from fleetsim.core.device import Reported
from fleetsim.core.over_the_air import firmware_version
from fleetsim.core.settings import Endpoint
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle, load_bundle
from fleetsim.exceptions import InputError, TargetError
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.lab_setup import LabKit, build_lab, new_credentials
from fleetsim.runner.ota_actions import GARBAGE, OtaDesk, read_files
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.runner.timeline import ActionFailedError, Facts
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.selecting import select, waves_of
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline_schema import IssueCa, Selector
from tests.runner.stage import S, Stage, only, staged_plan, timeline_of

NOW = datetime.now(UTC)
COUNT = 10
ENDPOINT = Endpoint(
    scheme="https", host="localhost", port=9001, bucket="fleet", region="us-east-1"
)


class Bucket:
    """A control plane that stores in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.order: list[str] = []
        self.refuses: Callable[[str], bool] = lambda _key: False

    async def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        if self.refuses(key):
            raise TargetError("bucket fleet", "SlowDown")
        self.objects[key] = body
        self.order.append(key)


class Reports:
    """What devices say of themselves."""

    def __init__(self) -> None:
        self.said: dict[int, Reported] = {}

    def reported(self, index: int) -> Reported | None:
        """The last device.json of one."""
        return self.said.get(index)

    def count_reported(
        self, is_wanted: Callable[[Reported], bool], indexes: Iterable[int]
    ) -> int:
        """How many say something."""
        return sum(
            index in self.said and is_wanted(self.said[index]) for index in indexes
        )


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LabKit:
    """Certificates."""
    folder = tmp_path_factory.mktemp("kit")
    return build_lab(LabSpec(), folder, NOW, base_folder=folder)


def with_second_root(kit: LabKit) -> PkiRegistry:
    """A registry in which ``r2`` is another root, with an issuer of its own."""
    registry = PkiRegistry(kit, lambda: NOW)
    action = IssueCa(key="rsa-1024")
    entry = only(timeline_of({"name": "r2", "at": "0s", "issue_ca": action}))
    registry.issue_ca(entry, action)
    return registry


class Pushing:
    """A desk with everything around it."""

    def __init__(self, kit: LabKit, folder: Path, **action: Any) -> None:
        self.plan: Plan = staged_plan(
            {"count": COUNT}, {"name": "p", "at": "0s", **action}
        )
        self.stage = Stage(figures={"stranded": 0.0})
        self.bucket = Bucket()
        self.reports = Reports()
        site = Site(endpoint=ENDPOINT, credentials=new_credentials())
        bindings, _ = bind(
            self.plan, [site], kit=kit, authorities={}, base_folder=folder, now=NOW
        )
        self.settings = bindings[0].settings
        bucket: Any = self.bucket
        reports: Any = self.reports
        self.desk = OtaDesk(
            self.plan,
            control=bucket,
            fleet=reports,
            settings=[self.settings],
            front_endpoint=lambda name, _cohort: Endpoint(
                scheme="https",
                host=f"{name}.test",
                port=9443,
                bucket="fleet",
                region="us-east-1",
            ),
            registry=with_second_root(kit),
            files=read_files(self.plan, folder),
        )

    def push(self, number: int = 0) -> Facts:
        """Carry an entry out in virtual time."""
        return self.stage.complete(self.pushed(number))  # type: ignore[no-any-return]  # free form

    async def pushed(self, number: int = 0) -> Facts:
        """Carry an entry out."""
        entry = self.plan.timeline[number]
        execution = self.stage.execution(entry)
        push = getattr(self.desk, entry.key)
        facts: Facts = await push(execution, entry.action)
        return facts

    def waves(self) -> list[tuple[float, int]]:
        """When each wave went out, and to how many."""
        return [
            (round(line.actual_ns / S, 3), line.facts["devices"])
            for line in self.stage.lines
            if line.step == "wave"
        ]

    def ids(self, indexes: Iterable[int]) -> set[str]:
        """Ids of devices."""
        return {self.plan.devices[index].device_id for index in indexes}


def test_a_bundle_for_every_device(kit: LabKit, tmp_path: Path) -> None:
    """One object each, a PKCS#7 file that openssl reads and the device loads whole."""
    pushing = Pushing(kit, tmp_path, push_bundle={"certificates": ["root", "r2"]})
    facts = pushing.push()
    keys = {f"{each}/certs_server.p7b" for each in pushing.ids(range(COUNT))}
    assert pushing.bucket.objects.keys() == keys
    (data,) = set(pushing.bucket.objects.values())
    listed = subprocess.run(
        ["openssl", "pkcs7", "-print_certs", "-noout"],
        input=data,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert listed.count("subject=") == 2
    profile = pushing.settings.profile
    assert not load_bundle(data, profile.bundle, EMPTY_BUNDLE).refusals
    assert facts["devices"] == facts["stored"] == COUNT
    assert facts["sha256"] == hashlib.sha256(data).hexdigest().upper()


def test_waves_are_the_seeded_ones(kit: LabKit, tmp_path: Path) -> None:
    """In the order of the selection, so often, each device once."""
    pushing = Pushing(
        kit,
        tmp_path,
        push_bundle={
            "certificates": ["root"],
            "waves": {"share": "30%", "every": "5s"},
        },
    )
    facts = pushing.push()
    assert pushing.waves() == [(0.0, 3), (5.0, 3), (10.0, 3), (15.0, 1)]
    assert (facts["waves"], facts["sent_waves"], facts["stored"]) == (4, 4, COUNT)
    chosen = select(pushing.plan, Selector())
    sent = [key.partition("/")[0] for key in pushing.bucket.order]
    start = 0
    for wave in waves_of(chosen, 0.3):
        assert set(sent[start : start + len(wave)]) == pushing.ids(wave)
        start += len(wave)


def test_a_pause_holds_the_next_wave(kit: LabKit, tmp_path: Path) -> None:
    """No wave while the rule holds; afterwards they go on where they stopped."""
    pushing = Pushing(
        kit,
        tmp_path,
        push_bundle={
            "certificates": ["root"],
            "waves": {"share": "50%", "every": "2s"},
            "pause_when": "stranded > 0",
        },
    )
    pushing.stage.figures["stranded"] = 1.0
    pushing.stage.loop.call_later(
        5.5, lambda: pushing.stage.figures.update(stranded=0.0)
    )
    pushing.push()
    assert pushing.waves() == [(0.0, 5), (6.0, 5)]
    assert [line.step for line in pushing.stage.lines] == [
        "wave",
        "paused",
        "resumed",
        "wave",
    ]


def test_an_object_that_cannot_be_stored(kit: LabKit, tmp_path: Path) -> None:
    """The entry fails after its wave, and says how many and what the target said."""
    pushing = Pushing(
        kit,
        tmp_path,
        push_bundle={
            "certificates": ["root"],
            "waves": {"share": "50%", "every": "1s"},
        },
    )
    first = select(pushing.plan, Selector())[0]
    bad = pushing.plan.devices[first].device_id
    pushing.bucket.refuses = lambda key: key.startswith(bad)
    with pytest.raises(
        ActionFailedError, match=f"1 of 5 .* {bad}: bucket fleet: SlowDown"
    ):
        pushing.push()
    assert len(pushing.bucket.objects) == 4


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        pytest.param({"fault": "empty"}, b"", id="empty"),
        pytest.param({"fault": "garbage"}, GARBAGE, id="garbage"),
        pytest.param({"file": "b.p7b"}, b"as it is", id="file"),
        pytest.param({"file": "b.p7b", "fault": "truncated"}, b"as i", id="truncated"),
    ],
)
def test_bundles_broken_on_purpose(
    kit: LabKit, tmp_path: Path, action: dict[str, Any], expected: bytes
) -> None:
    """The bytes go out as they are; no device.json can prove a damaged bundle."""
    (tmp_path / "b.p7b").write_bytes(b"as it is")
    pushing = Pushing(kit, tmp_path, push_bundle=action)
    pushing.push()
    assert set(pushing.bucket.objects.values()) == {expected}
    nothing = Reported(EMPTY_BUNDLE, "00000000", "01.07.05")
    pushing.reports.said = dict.fromkeys(range(COUNT), nothing)
    assert pushing.desk.bundle_share() == (1.0 if expected == b"" else 0.0)


def test_the_proof_of_a_bundle(kit: LabKit, tmp_path: Path) -> None:
    """The share counts devices whose device.json lists exactly what was pushed to them."""
    pushing = Pushing(
        kit,
        tmp_path,
        push_bundle={"certificates": ["root", "r2"], "to": {"share": "50%"}},
    )
    assert pushing.desk.bundle_share() == 0.0
    pushing.push()
    data = next(iter(pushing.bucket.objects.values()))
    exact = load_bundle(data, pushing.settings.profile.bundle, EMPTY_BUNDLE).bundle
    part = TrustBundle.of(exact.certificates[:1])
    pushing.reports.said = {
        index: Reported(part, "", "01.07.05") for index in range(COUNT)
    }
    assert pushing.desk.bundle_share() == 0.0
    pushing.reports.said = {
        index: Reported(exact, "", "01.07.05") for index in range(COUNT)
    }
    assert pushing.desk.bundle_share() == 0.5
    assert pushing.desk.bundle_share(0) == 0.5


def test_a_configuration_the_device_understands(kit: LabKit, tmp_path: Path) -> None:
    """Endpoint and periods as the entry says, the rest as the device had it."""
    pushing = Pushing(
        kit,
        tmp_path,
        push_config={"front": "new", "heartbeat": "30s", "ota": "1500ms"},
    )
    facts = pushing.push()
    (key, *_) = pushing.bucket.objects
    assert key.endswith("/config-01.07.json")
    body = pushing.bucket.objects[key]
    config = device_config.parse(body)
    assert (config.scheme, config.host, config.port) == ("https", "new.test", 9443)
    assert (config.heartbeat_s, config.ota_s) == (30.0, 1.5)
    assert config.bucket == "fleet"
    assert facts["crc32"] == [device_config.crc32(body)]
    said = Reported(EMPTY_BUNDLE, device_config.crc32(body), "01.07.05")
    pushing.reports.said = {0: said, 1: said}
    assert pushing.desk.config_share() == 0.2


def test_configurations_compose(kit: LabKit, tmp_path: Path) -> None:
    """A later one keeps what an earlier one changed."""
    pushing = Pushing(kit, tmp_path, push_config={"front": "new"})
    pushing.plan = staged_plan(
        {"count": COUNT},
        {"name": "p", "at": "0s", "push_config": {"front": "new"}},
        {"name": "q", "at": "0s", "push_config": {"ota": "7s"}},
    )

    async def both() -> None:
        await pushing.pushed(0)
        await pushing.pushed(1)

    pushing.stage.complete(both())
    (body,) = set(pushing.bucket.objects.values())
    config = device_config.parse(body)
    assert (config.host, config.ota_s) == ("new.test", 7.0)


def test_firmware(kit: LabKit, tmp_path: Path) -> None:
    """A header with type and version; the new version's configuration is there first."""
    pushing = Pushing(kit, tmp_path, push_firmware={"version": "01.09.03"})
    here = select(pushing.plan, Selector())[0]
    pushing.reports.said[here] = Reported(EMPTY_BUNDLE, "", "01.09.03")
    facts = pushing.push()
    others = pushing.ids(set(range(COUNT)) - {here})
    assert pushing.bucket.objects.keys() == {
        f"{each}/{name}"
        for each in others
        for name in ("firmware.bin", "config-01.09.json")
    }
    for each in others:
        order = [key for key in pushing.bucket.order if key.startswith(each)]
        assert order == [f"{each}/config-01.09.json", f"{each}/firmware.bin"]
    body = pushing.bucket.objects[f"{min(others)}/firmware.bin"]
    assert firmware_version(body) == "01.09.03"
    assert body[:4].hex().upper() == pushing.settings.profile.identity.type_code
    assert facts["stored"] == COUNT - 1
    assert pushing.desk.firmware_share() == 0.1


def test_files_are_read_before_anything_runs(tmp_path: Path) -> None:
    """Every file that is missing or far too large, at once."""
    (tmp_path / "huge").write_bytes(b"x" * ((1 << 20) + 1))
    plan = staged_plan(
        {},
        {"name": "a", "at": "0s", "push_bundle": {"file": "gone"}},
        {"name": "b", "at": "0s", "push_bundle": {"file": "huge"}},
    )
    with pytest.raises(InputError) as caught:
        read_files(plan, tmp_path)
    assert [Path(each.where).name for each in caught.value.problems] == ["gone", "huge"]
