"""The tests mirror the package: every module has a test module of its name."""

from pathlib import Path

import pytest

import fleetsim

PACKAGE = Path(fleetsim.__file__).parent
TESTS = Path(__file__).parent

# Module → why it has no test module of its own.
WITHOUT_TESTS = {
    "core/commands.py": "values without behaviour; every device test builds them",
    "core/events.py": "values without behaviour; every device test builds them",
    "core/observed.py": "values without behaviour; the recording test holds its fields",
    "recording/record.py": "values without behaviour; the columns test holds its fields",
    "recording/names.py": "file names; the run folder test spells them out",
    "runner/shards/messages.py": "values without behaviour; the wire test sends them",
    "report/live/view.py": "hooks that do nothing; every view has its test",
    "transport/base.py": "protocols; both channels are tested against them",
}
# Module → test that proves it under another name: a program or a socket is part of it.
ELSEWHERE = {
    "cli/clean.py": "integration/test_cleaning.py",
    "cli/push.py": "integration/test_cleaning.py",
    "exceptions.py": "cli/test_errors.py",
    "lab/child.py": "integration/test_lab_process.py",
    "lab/faults/blackhole.py": "integration/test_lab_faults.py",
    "lab/faults/half_close.py": "lab/faults/test_cut.py",
    "lab/faults/relay.py": "integration/test_lab_faults.py",
    "lab/faults/reset.py": "lab/faults/test_cut.py",
    "lab/faults/truncate.py": "lab/faults/test_cut.py",
    "lab/folder_layout.py": "lab/test_folder_store.py",
    "lab/front_connection.py": "integration/test_lab_front.py",
    "lab/listener.py": "integration/test_lab_front.py",
    "lab/multipart.py": "integration/test_lab_boto3.py",
    "lab/process.py": "integration/test_lab_process.py",
    "lab/s3_body.py": "integration/test_lab_s3_wire.py",
    "lab/s3_buckets.py": "integration/test_lab_boto3.py",
    "lab/s3_errors.py": "integration/test_lab_s3_wire.py",
    "lab/s3_hash.py": "integration/test_lab_boto3.py",
    "lab/s3_multipart.py": "integration/test_lab_boto3.py",
    "lab/s3_objects.py": "integration/test_lab_boto3.py",
    "lab/s3_uri.py": "integration/test_lab_s3_wire.py",
    "lab/served_front.py": "integration/test_lab_front.py",
    "lab/server.py": "integration/test_lab_process.py",
    "lab/standalone_pki.py": "lab/test_standalone.py",
    "lab/tcp_reset.py": "integration/test_lab_outage.py",
    "lab/terminators/launch.py": "integration/test_real_front_swaps.py",
    "lab/terminators/terminator.py": "integration/test_real_front_swaps.py",
    "lab/tls_front.py": "integration/test_lab_front.py",
    "runner/control_plane.py": "integration/test_cleaning.py",
    "runner/driving.py": "integration/test_processes.py",
    "runner/running.py": "runner/test_stranding.py",
    "runner/shards/child.py": "integration/test_processes.py",
    "runner/shards/devices.py": "runner/shards/test_fleet.py",
    "runner/shards/process.py": "integration/test_processes.py",
    "report/live/page.py": "integration/test_live_server.py",
    "report/live/serve.py": "integration/test_live_server.py",
    "report/live/server.py": "integration/test_live_server.py",
    "target/control.py": "integration/test_target_control.py",
    "transport/sdk/channel.py": "integration/test_sdk_channel.py",
    "transport/sdk/client.py": "integration/test_sdk_channel.py",
    "transport/sdk/hooks.py": "integration/test_sdk_channel.py",
    "target/http_session.py": "integration/test_bad_target.py",
}
MODULES = sorted(
    str(path.relative_to(PACKAGE))
    for path in PACKAGE.rglob("*.py")
    if path.stem not in {"__init__", "__main__"}
)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_test(module: str) -> None:
    """``tests/**/test_<name>.py`` exists, or the module is listed with the reason."""
    if module in WITHOUT_TESTS:
        return
    if module in ELSEWHERE:
        assert (TESTS / ELSEWHERE[module]).is_file()
        return
    name = f"test_{Path(module).stem}.py"
    mirrored = TESTS / Path(module).parent / name
    assert mirrored.is_file() or list((TESTS / "integration").glob(name)), (
        f"no {mirrored}"
    )


@pytest.mark.parametrize("module", sorted({*WITHOUT_TESTS, *ELSEWHERE}))
def test_exceptions_are_modules(module: str) -> None:
    """The lists of exceptions name nothing that is gone or has its test by now."""
    assert module in MODULES
    name = f"test_{Path(module).stem}.py"
    assert not (TESTS / Path(module).parent / name).is_file()


def test_rooms_say_what_they_are() -> None:
    """Every folder of the package opens with a docstring: what it does, who imports it."""
    for path in PACKAGE.rglob("__init__.py"):
        assert path.read_text().lstrip().startswith('"""'), path
