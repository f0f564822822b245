"""The lab's troubles with nginx and HAProxy at the front: the same words for devices."""

import os
import shutil
from pathlib import Path

import pytest

from fleetsim.lab.process import LabProcess
from tests.integration.lone_device import LoneDevice, endpoint, network, outcome
from tests.integration.test_lab_process import lab_settings


@pytest.fixture
def front_folder(tmp_path: Path) -> Path:
    """Private folder for the files of a real program."""
    folder = tmp_path / "fronts"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.server
@pytest.mark.parametrize("program", ["builtin", "nginx", "haproxy"])
async def test_troubles_look_the_same_at_every_front(
    tmp_path: Path, front_folder: Path, program: str
) -> None:
    """Outage, reset, fault, slow answers, a kill and a revival, one after the other."""
    if program != "builtin" and shutil.which(program) is None:
        missing = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    settings = lab_settings(
        tmp_path,
        front_program=program,
        front_folder=str(front_folder),
        store={"folder": str(tmp_path / "objects")},
    )
    lab = LabProcess()
    try:
        address = await lab.start(settings)
        async with network() as net:
            device = LoneDevice(net, endpoint(address.fronts["tls"][1]))

            async def upload() -> list[object]:
                connected = outcome(await device.connect())
                if connected != "connected":
                    return [connected]
                put = await device.put("a/x", b"content", keep_open=True)
                return [connected, outcome(put)]

            works: list[object] = ["connected", 200]
            assert await upload() == works
            await lab.request("outage", front="tls")
            assert outcome(await device.report()) == "lost"
            assert await upload() == ["tcp.refused"]
            await lab.request("restore", front="tls")
            assert await upload() == works
            await lab.request("reset", front="tls")
            assert outcome(await device.report()) == "lost"
            await lab.request("fault", front="tls", kind="reset", after_bytes=500)
            assert await upload() == ["tls.reset"]
            await lab.request("clear")
            await lab.request("slow", delay_s=0.05)
            assert await upload() == works
            assert device.measures.wait_ns >= 50_000_000
            await lab.kill()
            assert outcome(await device.report()) == "lost"
            assert await upload() == ["tcp.refused"]
            assert await lab.restart() == address
            assert await upload() == works
            device.drop()
    finally:
        await lab.stop(0.1)
