"""Sites: endpoint and keys of every cohort, every problem at once."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleetsim.core.settings import RequestStyle
from fleetsim.exceptions import InputError, TargetError
from fleetsim.runner.sites import Target, open_target
from fleetsim.scenario.plan import Plan
from tests.runner.plans import TARGET, plan_of

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's AWS configuration reaches a test."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def sites_of(plan: Plan, folder: Path, *, create_bucket: bool = False) -> None:
    """Open a target that is not there: what fails first is what is looked at."""
    async with open_target(
        plan,
        work_folder=folder,
        base_folder=folder,
        now=NOW,
        lab_cpu=None,
        create_bucket=create_bucket,
    ):
        pytest.fail("there is no such target")


async def test_missing_keys_are_named_before_anything_is_sent(tmp_path: Path) -> None:
    """Every variable that is missing is named, once, for all cohorts."""
    pair = {"access_key_env": "KEY_A", "secret_key_env": "SECRET_A"}
    other = {"access_key_env": "KEY_B", "secret_key_env": "SECRET_B"}
    plan = plan_of(
        {"credentials": pair, "trust": "empty"},
        {"credentials": other, "trust": "empty"},
        {"credentials": pair, "trust": "empty"},
        target=TARGET,
    )
    with pytest.raises(InputError) as caught:
        await sites_of(plan, tmp_path)
    text = str(caught.value)
    assert all(name in text for name in ("KEY_A", "SECRET_A", "KEY_B", "SECRET_B"))
    assert text.count("SECRET_A") == 1


async def test_a_target_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: the endpoint is named, and no secret."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    plan = plan_of(
        {"trust": "empty"}, target={**TARGET, "endpoint": "https://127.0.0.1:9"}
    )
    with pytest.raises(TargetError) as caught:
        await sites_of(plan, tmp_path)
    assert "127.0.0.1:9" in caught.value.where
    assert "hush" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_lab_is_up_inside_and_gone_after(tmp_path: Path) -> None:
    """Each cohort is sent to its front; the process ends with the block."""
    plan = plan_of(
        {"front": "a"},
        {"front": "b", "security": "low", "overrides": {"style": "virtual"}},
        lab={
            "bucket": "other",
            "fronts": [{"name": "a"}, {"name": "b", "security": "low"}],
        },
    )
    async with open_target(
        plan,
        work_folder=tmp_path,
        base_folder=tmp_path,
        now=NOW,
        lab_cpu=None,
        create_bucket=False,
    ) as target:
        lab = target.lab
        assert lab is not None
        assert lab.is_running
        assert target.kit is not None
        one, two = (site.endpoint for site in target.sites)
        assert (one.scheme, one.host, one.bucket) == ("https", "localhost", "other")
        assert (two.scheme, two.style) == ("http", RequestStyle.VIRTUAL)
        assert one.port != two.port
        assert target.sites[0].credentials == target.kit.credentials
        await target.control.put("x/y", b"1")
        assert [found.key async for found in target.control.list("x/")] == ["x/y"]
    assert not lab.is_running


@pytest.mark.slow
async def test_a_lab_goes_down_when_the_block_fails(tmp_path: Path) -> None:
    """An error inside does not leave the process behind."""
    opened: list[Target] = []

    async def fail() -> None:
        async with open_target(
            plan_of({}),
            work_folder=tmp_path,
            base_folder=tmp_path,
            now=NOW,
            lab_cpu=None,
            create_bucket=False,
        ) as target:
            opened.append(target)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    (target,) = opened
    assert target.lab is not None
    assert not target.lab.is_running
