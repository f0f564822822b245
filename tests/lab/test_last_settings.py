from pathlib import Path
from typing import Any

import pytest

from fleetsim.lab.last_settings import after_command, with_ports
from fleetsim.lab.settings import LabAddress, LabSettings, parse_settings


def tls(name: str) -> dict[str, Any]:
    """TLS settings told apart by their file."""
    return {"certificates": [{"chain_path": f"/{name}.pem", "key_path": "/k"}]}


SETTINGS = parse_settings(
    LabSettings,
    {
        "fronts": [
            {"name": "one", "tls": tls("one")},
            {"name": "two", "tls": tls("two")},
        ],
        "credentials": [{"access_key": "A", "secret_key": "first"}],
    },
)


def chain(settings: LabSettings, position: int) -> Path:
    """Chain file of a front."""
    front = settings.fronts[position].tls
    assert front is not None
    return front.certificates[0].chain_path


def test_swapped_front_is_remembered() -> None:
    """Only the front that was named has other settings."""
    arguments = {"front": "two", "tls": tls("new")}
    after = after_command(SETTINGS, "swap_front", arguments)
    assert (chain(after, 0), chain(after, 1)) == (Path("/one.pem"), Path("/new.pem"))


def test_credentials_are_remembered() -> None:
    """Added ones are there, replaced ones once, removed ones not."""
    added = after_command(
        SETTINGS, "add_credentials", {"access_key": "B", "secret_key": "second"}
    )
    replaced = after_command(
        added, "add_credentials", {"access_key": "A", "secret_key": "third"}
    )
    assert [each.access_key for each in replaced.credentials] == ["B", "A"]
    assert replaced.credentials[1].credentials().secret_key == "third"
    left = after_command(replaced, "remove_credentials", {"access_key": "B"})
    assert [each.access_key for each in left.credentials] == ["A"]


def test_calendar_goes_on() -> None:
    """A lab that is started again is at the date its calendar has reached."""
    settings = parse_settings(
        LabSettings,
        {
            "fronts": [{"name": "plain", "scheme": "http"}],
            "clock": {"epoch_unix_s": 10, "scale": 5},
        },
    )
    after = after_command(settings, "start_clock", {"origin_monotonic_ns": 7})
    assert after.clock is not None
    assert (after.clock.epoch_unix_s, after.clock.origin_monotonic_ns) == (10, 7)


@pytest.mark.parametrize("command", ["stats", "outage", "reload", "stop"])
def test_other_commands_leave_no_trace(command: str) -> None:
    """What is not a setting dies with the lab."""
    assert after_command(SETTINGS, command, {}) is SETTINGS


def test_ports_are_kept() -> None:
    """A restarted lab asks for the ports it was given."""
    address = LabAddress({"one": ("127.0.0.1", 4001), "two": ("127.0.0.1", 4002)})
    assert [each.port for each in with_ports(SETTINGS, address).fronts] == [4001, 4002]
