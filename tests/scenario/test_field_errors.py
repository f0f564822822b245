"""Words for what pydantic finds."""

from typing import Any

import pytest
from pydantic import ValidationError

from fleetsim.scenario.field_errors import field_errors
from fleetsim.scenario.overriding import dotted
from fleetsim.scenario.schema import Scenario

BASE: dict[str, Any] = {"name": "x", "cohorts": [{"name": "a", "count": 1}]}
CANARY = "hunter2-canary"


def errors_of(data: dict[str, Any]) -> list[str]:
    """Errors as ``place: words``."""
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate(data)
    return [f"{dotted(e.at)}: {e.what}" for e in field_errors(caught.value, data)]


def cohort(**given: Any) -> dict[str, Any]:
    """A scenario whose only cohort differs."""
    return {**BASE, "cohorts": [{**BASE["cohorts"][0], **given}]}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"name": "x"}, "cohorts: is missing"),
        ({**BASE, "cohorts": []}, "cohorts: needs at least 1 entry"),
        ({**BASE, "cohorts": 3}, "cohorts: expected a list, not 3"),
        ({**BASE, "lab": []}, "lab: expected a mapping, not a list"),
        ({**BASE, "seed": 1.5}, "seed: expected a whole number, not 1.5"),
        ({**BASE, "seed": True}, "seed: expected a whole number, not true"),
        ({**BASE, "duration": 0}, "duration: must be above 0, not 0"),
        ({**BASE, "drain": "400d"}, "drain: must be at most 366d, not '400d'"),
        (
            {**BASE, "name": "A b"},
            (
                "name: expected a name of 1 to 63 of a-z, 0-9, '_' and '-', starting with a "
                "letter or digit, not 'A b'"
            ),
        ),
        (
            {**BASE, "thresholds": ["unaccounted == 0"] * 1001},
            "thresholds: has more than 1000 entries",
        ),
        (
            {**BASE, "lab": {"region": "a b"}},
            "lab.region: expected ^[A-Za-z0-9-]{1,64}$, not 'a b'",
        ),
        (
            {**BASE, "description": "x" * 4001},
            "description: string should have at most 4000 characters, not 'xxx",
        ),
        (cohort(count=0), "cohorts[0].count: must be at least 1, not 0"),
        (
            cohort(sdk={"multipart_chunksize": "1MiB"}),
            "cohorts[0].sdk.multipart_chunksize: must be at least 5 MiB, not '1MiB'",
        ),
        (cohort(count="5"), "cohorts[0].count: expected a whole number, not '5'"),
        (
            cohort(security="hihg"),
            (
                "cohorts[0].security: expected 'low', 'medium' or 'high', not 'hihg' "
                "(did you mean 'high'?)"
            ),
        ),
        (
            cohort(overrides={"tls": {"resumption": "yes"}}),
            "cohorts[0].overrides.tls.resumption: expected true or false, not 'yes'",
        ),
        (
            cohort(overrides={"tls": {"min_version": "TLS1.2"}}),
            (
                "cohorts[0].overrides.tls.min_version: expected 'TLSv1.2' or 'TLSv1.3', not "
                "'TLS1.2' (did you mean 'TLSv1.2'?)"
            ),
        ),
        (
            cohort(overrides={"tls": {"chek_host": True}}),
            (
                "cohorts[0].overrides.tls.chek_host: unknown key (did you mean "
                "'check_host'?); known are check_host, check_ip, check_key_usage, max_version, "
                "min_version, resumption, security_level, send_sni"
            ),
        ),
        (
            {**BASE, "target": {"bucket": "b!", "endpoint": 3}},
            "target.endpoint: expected a text",
        ),
        (
            {**BASE, "timeline": [{"at": 1, "revoke_devices": None}]},
            "timeline[0].revoke_devices.to: is missing",
        ),
        (
            {**BASE, "timeline": [{"at": 1, "push_bundel": {}}]},
            "timeline[0].push_bundel: unknown key (did you mean 'push_bundle'?)",
        ),
    ],
    ids=lambda value: repr(value)[-50:] if isinstance(value, dict) else "",
)
def test_each_error_says_what_is_accepted(data: dict[str, Any], error: str) -> None:
    """Place, what is wrong, what is accepted, what was probably meant."""
    assert any(found.startswith(error) for found in errors_of(data))


@pytest.mark.parametrize(
    "data",
    [
        cohort(credentials=CANARY),
        cohort(credentials={"secret_key": CANARY}),
        cohort(credentials=[CANARY]),
        cohort(secret_key=CANARY),
        {**BASE, "cohorts": {"credentials": CANARY}},
        {**BASE, "target": {"bucket": "fleet", "endpoint": f"https://a:{CANARY}@h"}},
        {**BASE, "target": {"bucket": "fleet", "endpoint": [CANARY]}},
    ],
    ids=range(7),
)
def test_values_that_may_be_secret_are_never_repeated(data: dict[str, Any]) -> None:
    """An error message is pasted into chats and logs."""
    assert CANARY not in "\n".join(errors_of(data))


def test_a_list_with_a_broken_entry_is_not_called_too_short() -> None:
    """One cause, one problem."""
    assert errors_of({**BASE, "cohorts": [{"name": "a"}]}) == [
        "cohorts[0].count: is missing"
    ]
