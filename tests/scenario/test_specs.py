"""Sources of trust and credentials."""

import pytest

from fleetsim.scenario.specs import (
    Anchor,
    CredentialsSpec,
    EmptyTrust,
    EnvCredentials,
    FileTrust,
    LabCredentials,
    LabTrust,
    NamedEnvCredentials,
    ProfileCredentials,
    TrustSpec,
    credentials_data,
    parse_credentials,
    parse_trust,
    trust_data,
)

CANARY = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYcanary"


@pytest.mark.parametrize(
    ("form", "spec"),
    [
        ("lab", LabTrust()),
        ("empty", EmptyTrust()),
        ({"lab": "leaf"}, LabTrust(Anchor.LEAF)),
        ({"lab": "intermediate"}, LabTrust(Anchor.INTERMEDIATE)),
        ({"file": "a/certs_server.p7b"}, FileTrust("a/certs_server.p7b")),
    ],
    ids=repr,
)
def test_trust_forms_are_read_and_written_back(form: object, spec: TrustSpec) -> None:
    """parse(data(spec)) = spec."""
    assert parse_trust(form) == spec
    assert parse_trust(trust_data(spec)) == spec
    assert parse_trust(spec) is spec


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("lap", "did you mean 'lab'?"),
        ({"lab": "rot"}, "did you mean 'root'?"),
        ({"file": ""}, "expected lab, empty"),
        ({"file": "a\0b"}, "expected lab, empty"),
        ({"file": "a", "lab": "root"}, "expected lab, empty"),
        ({"lab": "root", "more": 1}, "expected lab, empty"),
        (3, "expected lab, empty"),
        (None, "expected lab, empty"),
    ],
    ids=repr,
)
def test_other_trust_forms_are_refused(form: object, says: str) -> None:
    """Exactly one known form."""
    with pytest.raises(ValueError, match=says):
        parse_trust(form)


@pytest.mark.parametrize(
    ("form", "spec"),
    [
        ("lab", LabCredentials()),
        ("env", EnvCredentials()),
        ({"profile": "fleet-test"}, ProfileCredentials("fleet-test")),
        (
            {"access_key_env": "FLEET_ID", "secret_key_env": "FLEET_SECRET"},
            NamedEnvCredentials(
                access_key_env="FLEET_ID", secret_key_env="FLEET_SECRET"
            ),
        ),
        (
            {"access_key_env": "A", "secret_key_env": "B", "session_token_env": "C"},
            NamedEnvCredentials(
                access_key_env="A", secret_key_env="B", session_token_env="C"
            ),
        ),
    ],
    ids=repr,
)
def test_credential_forms_are_read_and_written_back(
    form: object, spec: CredentialsSpec
) -> None:
    """parse(data(spec)) = spec."""
    assert parse_credentials(form) == spec
    assert parse_credentials(credentials_data(spec)) == spec
    assert parse_credentials(spec) is spec


@pytest.mark.parametrize(
    "form",
    [
        {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": CANARY},
        {"Secret-Access-Key": CANARY},
        {"aws_session_token": CANARY},
        {"password": CANARY},
        {"access_key_env": "AKIAIOSFODNN7EXAMPLE", "secret_key_env": "X"},
        {"access_key_env": "X", "secret_key_env": CANARY},
        {"access_key_env": "X", "secret_key_env": f"{CANARY}/"},
        {"profile": f"{CANARY}/"},
        CANARY,
        [CANARY],
        {"access_key_env": "X", "secret_key_env": [CANARY]},
    ],
    ids=lambda form: ascii(form)[:20] + str(len(str(form))),
)
def test_secrets_are_refused_and_never_repeated(form: object) -> None:
    """A key in clear text is refused, and the message does not carry it further."""
    with pytest.raises(ValueError, match=r"environment|expected lab, env") as caught:
        parse_credentials(form)
    assert CANARY not in str(caught.value)
    assert "AKIA" not in str(caught.value)
