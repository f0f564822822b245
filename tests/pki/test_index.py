import json

import pytest

from fleetsim.exceptions import InputError
from fleetsim.pki.crl import Reason
from fleetsim.pki.index import Batch, Entry, Index, Kind
from fleetsim.pki.keys import KeyType
from tests.pki.conftest import NOW


def entry(name: str = "root", **changes: object) -> Entry:
    """Make an entry of an authority."""
    values: dict[str, object] = {
        "kind": Kind.AUTHORITY,
        "name": name,
        "serial": "0a1b",
        "issuer": "root",
        "certificate": "root.pem",
        "key": "root.key",
        "sha256": "ab" * 32,
    }
    return Entry.model_validate(values | changes)


def index(*entries: Entry) -> Index:
    """Make an index with one batch."""
    batch = Batch(
        issued_at=NOW, devices=2, key_type=KeyType.P256, keys=1, unique_keys=False
    )
    return Index(
        created=NOW,
        serial_seed=7,
        server_authority="root",
        device_authority="root",
        batches=(batch,),
        certificates=entries,
    )


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((), id="empty"),
        pytest.param((entry(),), id="one"),
        pytest.param(
            (entry(), entry("b", revoked_at=NOW, reason=Reason.SUPERSEDED)),
            id="revoked",
        ),
    ],
)
def test_round_trip(entries: tuple[Entry, ...]) -> None:
    """What is written reads back equal, and is JSON for everybody else."""
    written = index(*entries)
    assert Index.parse(written.dump(), "pki.json") == written
    document = json.loads(written.dump())
    assert len(document["certificates"]) == len(entries)
    assert document["batches"][0]["key_type"] == "p256"


def test_one_certificate_per_line() -> None:
    """Revoking one device changes one line."""
    before = index(entry("a"), entry("b"), entry("c"))
    after = index(
        entry("a"), entry("b", revoked_at=NOW, reason=Reason.SUPERSEDED), entry("c")
    )
    changed = [
        (old, new)
        for old, new in zip(
            before.dump().splitlines(), after.dump().splitlines(), strict=True
        )
        if old != new
    ]
    assert len(changed) == 1


@pytest.mark.parametrize(
    "file",
    ["../root.key", "/etc/shadow", "a/../b", "a/b/c", ".hidden", "", "keys/../../x"],
)
def test_files_stay_inside_the_folder(file: str) -> None:
    """An index cannot make the program read a file outside its folder."""
    text = index(entry()).dump().replace(b"root.key", file.encode())
    with pytest.raises(InputError, match=r"pki\.json: certificates\.0\.key"):
        Index.parse(text, "pki.json")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        pytest.param(
            '"schema_version": 1', '"schema_version": 2', "schema_version", id="future"
        ),
        pytest.param('"serial":"0a1b"', '"serial":"xyz"', "serial", id="serial"),
        pytest.param('"kind":"authority"', '"kind":"cat"', "kind", id="kind"),
        pytest.param('"created"', '"krated"', "created", id="missing-field"),
        pytest.param('"name"', '"nom"', "nom", id="unknown-field"),
        pytest.param("{", "", "JSON", id="no-json"),
        pytest.param("Z", "", "created", id="naive-time"),
    ],
)
def test_damaged_index_is_an_input_error(old: str, new: str, words: str) -> None:
    """Every damage is named by its field."""
    text = index(entry()).dump().decode()
    assert old in text
    with pytest.raises(InputError, match=words):
        Index.parse(text.replace(old, new, 1).encode(), "pki.json")


def test_of_kind_and_with_certificates() -> None:
    """Certificates are appended and picked by kind, order kept."""
    grown = index(entry("a")).with_certificates(
        [entry("s", kind=Kind.SERVER), entry("b")]
    )
    assert [each.name for each in grown.of_kind(Kind.AUTHORITY)] == ["a", "b"]
    assert [each.name for each in grown.of_kind(Kind.SERVER)] == ["s"]
