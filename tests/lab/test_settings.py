import json
from typing import Any

import pytest

from fleetsim.core.settings import Credentials
from fleetsim.exceptions import InputError
from fleetsim.lab.settings import CredentialSettings, LabSettings, parse_settings

CREDENTIALS = Credentials(access_key="AK", secret_key="s3cret", session_token="t0ken")
PAIR = {"chain_path": "/a.pem", "key_path": "/a.key"}
TLS: dict[str, Any] = {"certificates": [PAIR]}
UPSTREAM = {"host": "s3.example.org", "port": 443}
FRONT: dict[str, Any] = {"name": "tls", "tls": TLS}


def lab(**changes: Any) -> LabSettings:
    """Settings of a lab with one TLS front, plus changes."""
    return parse_settings(LabSettings, {"fronts": [FRONT], **changes})


def test_settings_survive_the_pipe() -> None:
    """What is written for the child reads back as the same settings."""
    settings = lab(
        credentials=[
            {"access_key": "AK", "secret_key": "s3cret", "session_token": "t0ken"}
        ],
        store={"folder": "/objects", "limit_bytes": 5},
        clock={"epoch_unix_s": 4e9, "scale": 60.0, "origin_monotonic_ns": 1 << 60},
    )
    again = parse_settings(LabSettings, json.loads(json.dumps(settings.wire())))
    assert again == settings
    assert again.credentials[0].credentials() == CREDENTIALS
    assert CredentialSettings.of(CREDENTIALS) in (again.credentials)


def test_secrets_are_not_shown() -> None:
    """Neither repr nor the ordinary JSON form holds a secret."""
    settings = lab(
        credentials=[
            {"access_key": "AK", "secret_key": "s3cret", "session_token": "t0ken"}
        ]
    )
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cret" not in text
        assert "t0ken" not in text


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"fronts": []}, "fronts", "at least 1"),
        ({"fronts": [FRONT, FRONT]}, "", "same name"),
        ({"front_program": "nginx"}, "", "needs a front_folder"),
        ({"front_program": "apache"}, "front_program", "haproxy"),
        (
            {
                "front_program": "haproxy",
                "front_folder": "/f",
                "clock": {"epoch_unix_s": 0, "origin_monotonic_ns": 0},
                "fronts": [{"name": "x", "tls": {**TLS, "client_ca_path": "/ca.pem"}}],
            },
            "",
            "haproxy judges client certificates by this machine's clock",
        ),
        ({"fronts": [{"name": "x"}]}, "fronts.0", "needs tls"),
        (
            {"fronts": [{"name": "x", "scheme": "http", "tls": TLS}]},
            "fronts.0",
            "takes no tls",
        ),
        ({"fronts": [{"name": "x", "scheme": "tcp"}]}, "fronts.0", "needs an upstream"),
        (
            {"fronts": [{**FRONT, "upstream": UPSTREAM}]},
            "fronts.0",
            "takes no upstream",
        ),
        (
            {"fronts": [{"name": "x", "scheme": "tcp", "upstream": {"host": "h"}}]},
            "fronts.0.upstream.port",
            "required",
        ),
        ({"fronts": [{**FRONT, "port": 65536}]}, "fronts.0.port", "65535"),
        ({"fronts": [{**FRONT, "name": "a b"}]}, "fronts.0.name", "match"),
        ({"fronts": [{**FRONT, "linger_s": 0}]}, "fronts.0.linger_s", "greater"),
        ({"fronts": [{**FRONT, "linger_s": "nan"}]}, "fronts.0.linger_s", "finite"),
        (
            {"fronts": [{**FRONT, "max_connections": 0}]},
            "fronts.0.max_connections",
            "greater",
        ),
        (
            {"credentials": [{"access_key": "a/b", "secret_key": "s"}]},
            "credentials.0",
            "",
        ),
        ({"credentials": [{"access_key": "a", "secret_key": ""}]}, "credentials.0", ""),
        ({"store": {"limit_bytes": 0}}, "store.limit_bytes", "greater"),
        ({"store": {"folder": "/o", "keep_bodies": False}}, "store", "keeps bodies"),
        ({"surprise": 1}, "surprise", "not permitted"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], where: str, what: str) -> None:
    """Each refusal says where and what."""
    with pytest.raises(InputError) as caught:
        lab(**changes)
    (problem,) = caught.value.problems
    assert problem.where.startswith(where)
    assert what in problem.what


@pytest.mark.parametrize(
    ("tls", "what"),
    [
        ({"certificates": []}, "at least 1"),
        ({**TLS, "min_version": "TLSv1.3", "max_version": "TLSv1.2"}, "newer"),
        ({**TLS, "min_version": "SSLv3"}, "TLSv1"),
        ({**TLS, "dh_bits": 1}, "1024"),
        ({**TLS, "require_client_certificate": True}, "client_ca_path"),
        ({**TLS, "check_crl": True}, "crl_paths"),
        ({**TLS, "check_crl": True, "crl_paths": ["/c"]}, "client_ca_path"),
    ],
)
def test_bad_tls_settings_are_named(tls: dict[str, Any], what: str) -> None:
    """TLS settings that contradict themselves are refused."""
    with pytest.raises(InputError, match=what):
        lab(fronts=[{"name": "x", "tls": tls}])


def test_all_problems_come_at_once() -> None:
    """Three mistakes are three problems, and no value is repeated in them."""
    with pytest.raises(InputError) as caught:
        lab(
            credentials=[{"access_key": "AK", "secret_key": "s3cret", "typo": 1}],
            region=5,
            store={"limit_bytes": -1},
        )
    assert len(caught.value.problems) == 3
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("clock", "where"),
    [
        ({}, "clock.epoch_unix_s"),
        ({"epoch_unix_s": -1}, "clock.epoch_unix_s"),
        ({"epoch_unix_s": float("nan")}, "clock.epoch_unix_s"),
        ({"epoch_unix_s": 1e12}, "clock.epoch_unix_s"),
        ({"epoch_unix_s": 0, "scale": 0}, "clock.scale"),
        ({"epoch_unix_s": 0, "scale": float("inf")}, "clock.scale"),
        ({"epoch_unix_s": 0, "origin_monotonic_ns": -1}, "clock.origin_monotonic_ns"),
        ({"epoch_unix_s": 0, "date": "today"}, "clock.date"),
    ],
)
def test_absurd_calendars_are_refused(clock: dict[str, Any], where: str) -> None:
    """A calendar begins between 1970 and 9999 and runs forwards."""
    with pytest.raises(InputError) as caught:
        lab(clock=clock)
    assert [problem.where for problem in caught.value.problems] == [where]
