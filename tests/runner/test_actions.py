"""Actions: every action of the language reaches the desk that carries it out."""

from collections.abc import Mapping
from typing import Any

import pytest

from fleetsim.core.settings import Endpoint
from fleetsim.lab.settings import LabAddress
from fleetsim.runner import actions as module
from fleetsim.runner.actions import Actions, Desks, endpoint_url
from fleetsim.runner.timeline import ActionFailedError, Facts
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline_schema import ACTIONS
from tests.runner.plans import TARGET
from tests.runner.stage import S, Stage, staged_plan

MINIMAL: dict[str, tuple[dict[str, Any], str]] = {
    "issue_ca": ({}, "registry.issue_ca"),
    "cross_sign": ({"ca": "root", "by": "devices"}, "registry.cross_sign"),
    "issue_server_certificate": ({}, "registry.issue_server"),
    "swap_server_certificate": ({"certificate": "main"}, "fronts.swap_certificate"),
    "swap_ciphers": ({"ciphers": "AES128-SHA"}, "fronts.swap_ciphers"),
    "swap_tls_versions": ({"versions": ["TLSv1.2"]}, "fronts.swap_versions"),
    "push_bundle": ({"certificates": ["root"]}, "ota.push_bundle"),
    "push_config": ({"ota": "5s"}, "ota.push_config"),
    "push_firmware": ({"version": "01.02.03"}, "ota.push_firmware"),
    "rotate_device_certificates": ({}, "identities.rotate"),
    "revoke_devices": ({"to": {}}, "identities.revoke"),
    "unrevoke": ({}, "identities.unrevoke"),
    "expire_crl": ({}, "identities.expire_crl"),
    "rotate_credentials": ({}, "credentials.rotate"),
    "server_outage": ({"duration": "1s"}, "control.outage"),
    "slow_server": ({"delay": "1s", "duration": "1s"}, "control.slow"),
    "reset_connections": ({}, "control.reset"),
    "dns_change": ({"front": "main"}, "resolver.override"),
    "fault": ({"kind": "blackhole", "duration": "1s"}, "control.fault"),
    "power_cycle": ({}, "fleet.power_cycle"),
    "sleep_devices": ({"to": {}}, "fleet.sleep"),
    "wake_devices": ({}, "fleet.wake"),
    "skew_clock": ({"by": "1s"}, "fleet.skew_clock"),
    "set_clock": ({"time": "2030-01-01"}, "fleet.set_clock"),
    "lose_rtc": ({}, "fleet.lose_rtc"),
    "network_down": ({}, "fleet.set_network"),
    "network_up": ({}, "fleet.set_network"),
    "run_command": ({"argv": ["true"]}, "commands.run_command"),
    "wait_for": ({"condition": "stranded == 0"}, ""),
    "assert": ({"condition": "stranded == 0"}, ""),
}


class Desk:
    """A desk that writes down what it is asked, and answers whatever is needed."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self._name = name
        self._asked = asked

    def __getattr__(self, name: str) -> Any:
        if name in {"control", "resolver"}:
            return Desk(name, self._asked)
        full = f"{self._name}.{name}"
        is_plain = self._name in {"registry", "resolver"}

        def plain(*_: Any, **__: Any) -> Any:
            self._asked.append(full)
            return Made()

        async def awaited(*_: Any, **__: Any) -> Any:
            self._asked.append(full)
            return 0 if self._name == "fleet" else {}

        return plain if is_plain else awaited


class Made:
    """Something that has a certificate."""

    certificate = None


def desks(plan: Plan, asked: list[str], **others: Any) -> Desks:
    """Desks that only write down."""

    class Target:
        address = LabAddress({"main": ("127.0.0.1", 9001)})
        path = None

    made: dict[str, Any] = {
        name: Desk(name, asked)
        for name in ("fleet", "registry", "ota", "identities", "fronts", "credentials")
    }
    target: Any = Target()
    return Desks(
        plan=plan,
        target=target,
        variables={"FLEETSIM_RUN_FOLDER": "/r"},
        secrets=(),
        **(made | others),
    )


def plan_of_one(key: str) -> Plan:
    """A plan with one entry."""
    return staged_plan({}, {"name": "e", "at": "0s", key: MINIMAL[key][0]})


def test_every_action_is_here() -> None:
    """The table names them all."""
    assert MINIMAL.keys() == ACTIONS.keys()


@pytest.mark.parametrize("key", ACTIONS)
def test_the_right_desk(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One action, one desk."""
    asked: list[str] = []

    async def command(*_: Any, **__: Any) -> Facts:
        asked.append("commands.run_command")
        return {}

    monkeypatch.setattr(module, "run_command", command)
    monkeypatch.setattr(module, "describe", lambda _certificate: {})
    plan = plan_of_one(key)
    stage = Stage(figures={"stranded": 0.0})
    actions = Actions(desks(plan, asked))
    facts = stage.complete(actions.carry_out(stage.execution(plan.timeline[0])))
    assert isinstance(facts, dict)
    wanted = MINIMAL[key][1]
    assert asked[-1:] == ([wanted] if wanted else [])


@pytest.mark.parametrize(
    "key",
    [
        "swap_server_certificate",
        "rotate_credentials",
        "server_outage",
        "reset_connections",
    ],
)
def test_somebody_elses_server(key: str) -> None:
    """Without a lab there is nothing to control, and it says so."""
    plan = plan_of_one(key)
    stage = Stage()
    actions = Actions(desks(plan, [], fronts=None, credentials=None))
    with pytest.raises(ActionFailedError, match="the server is not the lab"):
        stage.complete(actions.carry_out(stage.execution(plan.timeline[0])))


def test_a_fault_before_somebody_elses_server() -> None:
    """A relay of ours stands in the way to any target."""
    asked: list[str] = []
    plan = plan_of_one("fault")
    stage = Stage()
    made = desks(plan, asked, fronts=None)
    target: Any = made.target
    target.path = Desk("path", asked)
    stage.complete(Actions(made).carry_out(stage.execution(plan.timeline[0])))
    assert asked == ["path.fault"]


def test_a_command_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs instead of the action, and learns for which one."""
    seen: list[tuple[tuple[str, ...], Mapping[str, str]]] = []

    async def command(
        argv: tuple[str, ...], *, variables: Mapping[str, str], **_: Any
    ) -> Facts:
        seen.append((argv, variables))
        return {"exit_code": 0}

    monkeypatch.setattr(module, "run_command", command)
    plan = staged_plan(
        {"trust": "empty"},
        {"name": "rev", "at": "0s", "revoke_devices": {"to": {}}},
        {"run_command": {"argv": ["reload"], "replaces": "revoke_devices"}},
        target=TARGET,
    )
    asked: list[str] = []
    stage = Stage()
    facts = stage.complete(
        Actions(desks(plan, asked)).carry_out(stage.execution(plan.timeline[0]))
    )
    assert facts == {"exit_code": 0, "replaced_by": "run_command"}
    assert asked == []
    assert seen == [
        (
            ("reload",),
            {"FLEETSIM_RUN_FOLDER": "/r", "FLEETSIM_ACTION": "revoke_devices"},
        )
    ]


def look(action: dict[str, Any], stage: Stage) -> Facts:
    """Carry a wait or an assertion out."""
    plan = staged_plan({}, {"name": "e", "at": "0s", **action})
    execution = stage.execution(plan.timeline[0])
    facts: Facts = stage.complete(Actions(desks(plan, [])).carry_out(execution))
    return facts


def test_wait_for() -> None:
    """It ends with the first look at which the condition holds."""
    stage = Stage(figures={"backlog": 9.0})
    stage.loop.call_later(2.5, lambda: stage.figures.update(backlog=0.0))
    facts = look({"wait_for": {"condition": "backlog == 0"}}, stage)
    assert facts == {"condition": "backlog == 0", "waited_s": 3.0}


def test_wait_for_in_vain() -> None:
    """It fails at its timeout, not a look later, and says what the figure was."""
    stage = Stage(figures={"backlog": 9.0})
    with pytest.raises(ActionFailedError, match=r"within 2\.5 s: backlog was 9"):
        look({"wait_for": {"condition": "backlog == 0", "timeout": "2500ms"}}, stage)


def test_wait_for_looks_a_last_time() -> None:
    """What holds at the very end held in time."""
    stage = Stage(figures={"backlog": 9.0})
    stage.loop.call_later(2.4, lambda: stage.figures.update(backlog=0.0))
    facts = look(
        {"wait_for": {"condition": "backlog == 0", "timeout": "2500ms"}}, stage
    )
    assert facts["waited_s"] == 2.5
    assert stage.now_ns() < 3 * S


def test_assert() -> None:
    """It passes with the value, or fails with the value and the author's reason."""
    assert look(
        {"assert": {"condition": "backlog < 10"}}, Stage(figures={"backlog": 9.0})
    ) == {"condition": "backlog < 10", "value": 9.0}
    with pytest.raises(
        ActionFailedError, match="backlog is 9: nothing may wait"
    ) as caught:
        look(
            {"assert": {"condition": "backlog == 0", "reason": "nothing may wait"}},
            Stage(figures={"backlog": 9.0}),
        )
    assert caught.value.facts["value"] == 9.0


@pytest.mark.parametrize(
    ("host", "url"),
    [("s3.test", "https://s3.test:9000"), ("::1", "https://[::1]:9000")],
)
def test_endpoint_url(host: str, url: str) -> None:
    """As commands take it."""
    endpoint = Endpoint(scheme="https", host=host, port=9000, bucket="b", region="r")
    assert endpoint_url(endpoint) == url
