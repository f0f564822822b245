from dataclasses import replace
from pathlib import Path

import pytest

from fleetsim.core.cipher_groups import KeyExchange, key_exchange_of
from fleetsim.core.settings import (
    AdvanceOn,
    DistinctBy,
    GroupMemory,
    RequestStyle,
    StepBack,
)
from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.scenario.distributions import Uniform
from fleetsim.scenario.profile_schema import Provenance

OWN = """\
extends: canedge2
name: mine
description: ours, with a smaller bundle
cipher_tables:
  ours:
    value: [{name: only, suites: [AES128-SHA]}]
    provenance: documented
    source: tshark
bundle:
  max_certificates: {value: 4, provenance: documented, source: our manual}
"""


@pytest.mark.parametrize("name", catalog.names())
def test_built_in_profiles(name: str) -> None:
    """Every built-in profile loads under its name and states a source per figure."""
    entry = catalog.load(name)
    assert entry.profile.name == name
    assert len({figure.path for figure in entry.figures}) == len(entry.figures)
    assert all(figure.source for figure in entry.figures)
    assert catalog.load(name) is entry


def test_every_profile_file_is_in_the_catalog() -> None:
    """No profile is forgotten in the list of names."""
    folder = Path(catalog.__file__).parent
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(
        catalog.names()
    )


def test_canedge2_is_as_documented() -> None:
    """The figures of the CANedge documentation and rule schema, by default."""
    profile = catalog.load("canedge2").profile
    assert (profile.heartbeat_s, profile.ota_s) == (300.0, 600.0)
    assert profile.upload_delay == Uniform(10.0, 12.0)
    assert profile.style is RequestStyle.PATH
    assert not profile.signed_payload
    assert profile.split_size_bytes == 50_000_000
    assert profile.bundle.max_certificates == 10
    assert profile.bundle.distinct_by is DistinctBy.ISSUER
    assert profile.bundle.rsa_bits == (512, 1024, 2048)
    assert profile.bundle.ec_curves == ()
    assert profile.identity.type_code == "0000001F"
    assert profile.identity.digests_key == "certs_server_sha1"
    assert profile.tls.min_version == profile.tls.max_version == "TLSv1.2"
    assert profile.fallback.advance_on is AdvanceOn.ANY_FAILURE
    assert profile.fallback.memory is GroupMemory.POWER_CYCLE
    assert profile.fallback.step_back is StepBack.NEVER


@pytest.mark.parametrize(
    ("index", "name", "sizes"),
    [
        (0, "winc-ecdhe-last", [2, 6, 9]),
        (1, "winc-nonecc", [2, 4, 10]),
        (2, "winc-sha2-first", [4, 6, 8]),
    ],
)
def test_canedge2_tables(index: int, name: str, sizes: list[int]) -> None:
    """Three groups, each larger than and containing the one before (documented)."""
    entry = catalog.load("canedge2")
    table = entry.profile.cipher_tables[index]
    assert table.name == name
    assert [len(group.suites) for group in table.groups] == sizes
    for smaller, larger in zip(table.groups, table.groups[1:], strict=False):
        assert set(smaller.suites) < set(larger.suites)
    figure = next(f for f in entry.figures if f.path == f"cipher_tables.{name}")
    assert figure.provenance is Provenance.INFERRED


def test_only_group_three_of_the_default_table_has_ecdhe() -> None:
    """Against an ECDHE-only server the default device needs its last group."""
    groups = catalog.load("canedge2").profile.cipher_tables[0].groups
    has_ecdhe = [
        any(key_exchange_of(suite) is KeyExchange.ECDHE_RSA for suite in group.suites)
        for group in groups
    ]
    assert has_ecdhe == [False, False, True]


def test_canedge3_rules() -> None:
    """The CANedge3 tells certificates apart by Subject and wants CA:TRUE."""
    profile = catalog.load("canedge3").profile
    assert profile.bundle.distinct_by is DistinctBy.SUBJECT
    assert profile.bundle.require_ca
    assert profile.bundle.digest == "md5"
    assert profile.identity.digests_key == "certs_server_md5"
    assert profile.identity.type_code == "0000007D"


def test_generic_profiles_speak_their_version() -> None:
    """The generic profiles differ in the highest version."""
    assert catalog.load("generic-tls12").profile.tls.max_version == "TLSv1.2"
    assert catalog.load("generic-tls13").profile.tls.max_version == "TLSv1.3"


def test_unknown_name() -> None:
    """An unknown name is answered with the nearest one and the list."""
    with pytest.raises(InputError) as caught:
        catalog.load("canege2")
    (problem,) = caught.value.problems
    assert problem.where == "profile"
    assert "did you mean 'canedge2'?" in problem.what
    assert "generic-tls13" in problem.what


def test_own_profile_extends(tmp_path: Path) -> None:
    """An own file replaces single figures; its cipher table becomes the default."""
    (tmp_path / "mine.yaml").write_text(OWN)
    entry = catalog.load("mine.yaml", tmp_path)
    base = catalog.load("canedge2").profile
    assert entry.profile == replace(
        base,
        name="mine",
        description="ours, with a smaller bundle",
        cipher_tables=(entry.profile.cipher_tables[0], *base.cipher_tables),
        bundle=replace(base.bundle, max_certificates=4),
    )
    assert entry.profile.cipher_tables[0].groups[0].suites == ("AES128-SHA",)
    changed = next(f for f in entry.figures if f.path == "bundle.max_certificates")
    assert changed.source == "our manual"


def test_own_profile_without_base(tmp_path: Path) -> None:
    """A whole profile needs no base; a name that is taken is refused."""
    text = (Path(catalog.__file__).parent / "canedge3.yaml").read_text()
    path = tmp_path / "whole.yml"
    path.write_text(text)
    with pytest.raises(InputError, match="built-in profile; reports could not tell"):
        catalog.load(str(path))
    path.write_text(text.replace("name: canedge3", "name: whole", 1))
    expected = replace(catalog.load("canedge3").profile, name="whole")
    assert catalog.load(str(path)).profile == expected


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("canedge2", "canedge", "mine.yaml:1: extends: 'canedge' is no built-in"),
        ("canedge2", "[1]", "mine.yaml:1: extends: [1] is no built-in"),
        ("name: mine", "name: canedge2", "mine.yaml:2: name: 'canedge2' is a built-in"),
        ("value: 4", "value: 0", "mine.yaml:10: bundle.max_certificates.value"),
        ("max_certificates", "max", "mine.yaml:10: bundle.max: unknown key"),
        ("{value: 4,", "{", "mine.yaml:10: bundle.max_certificates.value: is missing"),
        ("bundle:", "bundle: 5\nx:", "mine.yaml:9: bundle: expected a mapping"),
        ("AES128-SHA", "AES", "mine.yaml:6: cipher_tables.ours.value.0.suites.0"),
        ("description:", "name:", "mine.yaml:3"),
        ("bundle:", "bundle: ]", "mine.yaml:9: not YAML"),
    ],
)
def test_broken_own_profile(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """Problems of an own file carry its lines, also for what extends a base."""
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        catalog.load("./mine.yaml", tmp_path)
    assert any(problem in str(one) for one in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b"", "expected a mapping")],
)
def test_unreadable_file(tmp_path: Path, content: bytes | None, says: str) -> None:
    """A file that cannot be read is one clear problem."""
    path = tmp_path / "mine.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        catalog.load_file(path)


def test_folder_is_no_profile(tmp_path: Path) -> None:
    """A folder in place of a file is one clear problem."""
    with pytest.raises(InputError, match="cannot be read"):
        catalog.load(f"{tmp_path}/")
