"""Specs: where a cohort's trust anchors and its S3 credentials come from.

Both are named, never contained: a scenario is shared, committed and copied into every
run folder, so it holds no secret. What looks like one is refused, without repeating it.
Relative paths are relative to the folder of the scenario file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated, Any, Final, TypeGuard, assert_never

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from fleetsim.scenario.quantities import shown
from fleetsim.scenario.suggest import did_you_mean

# ---------------------------------------------------------------- trust


@unique
class Anchor(StrEnum):
    """Which certificate of the lab's own chain a device trusts."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"
    LEAF = "leaf"


@dataclass(frozen=True, slots=True)
class LabTrust:
    """A bundle with one certificate of the lab's own chain."""

    anchor: Anchor = Anchor.ROOT


@dataclass(frozen=True, slots=True)
class EmptyTrust:
    """No trust anchor at all: an empty ``certs_server.p7b``."""


@dataclass(frozen=True, slots=True)
class FileTrust:
    """A bundle file as it would lie on the SD card."""

    path: str


TrustSpec = LabTrust | EmptyTrust | FileTrust
_TRUST_FORMS: Final = (
    "lab, empty, {lab: root|intermediate|leaf} or {file: path/to/certs_server.p7b}"
)


def parse_trust(value: object) -> TrustSpec:
    """Read the YAML form of a trust source.

    Raises:
        ValueError: None of the forms.
    """
    if isinstance(value, TrustSpec):
        return value
    match value:
        case "lab":
            return LabTrust()
        case "empty":
            return EmptyTrust()
        case {"lab": str(anchor), **rest} if not rest:
            if anchor not in set(Anchor):
                raise ValueError(
                    f"unknown anchor {shown(anchor)}{did_you_mean(anchor, Anchor)}: "
                    f"expected {', '.join(Anchor)}"
                )
            return LabTrust(Anchor(anchor))
        case {"file": str(path), **rest} if not rest and is_path(path):
            return FileTrust(path)
        case _:
            hint = did_you_mean(value, ("lab", "empty")) if _is_text(value) else ""
            raise ValueError(f"expected {_TRUST_FORMS}, not {shown(value)}{hint}")


def trust_data(spec: TrustSpec) -> object:
    """YAML form of a trust source."""
    match spec:
        case LabTrust():
            return {"lab": spec.anchor.value}
        case EmptyTrust():
            return "empty"
        case FileTrust():
            return {"file": spec.path}
        case _:
            assert_never(spec)


# ---------------------------------------------------------------- credentials


@dataclass(frozen=True, slots=True)
class LabCredentials:
    """The credentials the embedded lab makes up for the run."""


@dataclass(frozen=True, slots=True)
class EnvCredentials:
    """The usual chain of the AWS SDKs: ``AWS_*`` variables, profile, instance role."""


@dataclass(frozen=True, slots=True)
class ProfileCredentials:
    """A profile of the AWS configuration files."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEnvCredentials:
    """Environment variables of the scenario's choice.

    Attributes:
        access_key_env: Name of the variable with the access key id.
        secret_key_env: Name of the variable with the secret access key.
        session_token_env: Name of the variable with the session token, may be empty.
    """

    access_key_env: str
    secret_key_env: str
    session_token_env: str = ""


CredentialsSpec = (
    LabCredentials | EnvCredentials | ProfileCredentials | NamedEnvCredentials
)
_CREDENTIAL_FORMS: Final = (
    "lab, env, {profile: name} or {access_key_env: NAME, secret_key_env: NAME}"
)
_SECRET_KEYS: Final = frozenset(
    {
        "accesskey",
        "accesskeyid",
        "awsaccesskeyid",
        "awssecretaccesskey",
        "awssessiontoken",
        "key",
        "password",
        "secret",
        "secretaccesskey",
        "secretkey",
        "sessiontoken",
        "token",
    }
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_ACCESS_KEY = re.compile(r"(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\Z")
_PROFILE = re.compile(r"[A-Za-z0-9_.+@ -]{1,100}\Z")


def parse_credentials(value: object) -> CredentialsSpec:
    """Read the YAML form of a credentials source.

    Raises:
        ValueError: None of the forms. The message never repeats a value.
    """
    if isinstance(value, CredentialsSpec):
        return value
    match value:
        case "lab":
            return LabCredentials()
        case "env":
            return EnvCredentials()
        case Mapping() if any(_names_a_secret(key) for key in value):
            raise ValueError(
                "a scenario holds no secrets in clear text: set the key in the "
                f"environment or an AWS profile and write {_CREDENTIAL_FORMS}"
            )
        case {"profile": str(name), **rest} if not rest and _PROFILE.match(name):
            return ProfileCredentials(name)
        case {"access_key_env": access, "secret_key_env": secret, **rest} if (
            rest.keys() <= {"session_token_env"}
        ):
            token = rest.get("session_token_env")
            return NamedEnvCredentials(
                access_key_env=_variable("access_key_env", access),
                secret_key_env=_variable("secret_key_env", secret),
                session_token_env=_variable("session_token_env", token)
                if token
                else "",
            )
        case _:
            raise ValueError(
                f"expected {_CREDENTIAL_FORMS} (the value is not repeated here)"
            )


def credentials_data(spec: CredentialsSpec) -> object:
    """YAML form of a credentials source."""
    match spec:
        case LabCredentials():
            return "lab"
        case EnvCredentials():
            return "env"
        case ProfileCredentials():
            return {"profile": spec.name}
        case NamedEnvCredentials():
            names = {
                "access_key_env": spec.access_key_env,
                "secret_key_env": spec.secret_key_env,
            }
            if spec.session_token_env:
                names["session_token_env"] = spec.session_token_env
            return names
        case _:
            assert_never(spec)


def _names_a_secret(key: object) -> bool:
    return _is_text(key) and re.sub(r"[_\-\s]", "", key).lower() in _SECRET_KEYS


def _variable(name: str, value: object) -> str:
    """Accept the *name* of a variable; a pasted key must not slip through as one."""
    if (
        not _is_text(value)
        or not _VARIABLE.match(value)
        or _ACCESS_KEY.match(value)
        or (len(value) >= 40 and "_" not in value)
    ):
        raise ValueError(
            f"{name} takes the name of an environment variable, such as "
            "FLEET_SECRET_KEY, never the key itself (the value is not repeated here)"
        )
    return value


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def is_path(text: str) -> bool:
    """Whether a text can be a path: not empty, no NUL, not absurdly long."""
    return 0 < len(text) <= 4096 and "\0" not in text


# ---------------------------------------------------------------- pydantic types

_TRUST_SCHEMA: Final[dict[str, Any]] = {
    "description": f"Trust anchors on the device's card: {_TRUST_FORMS}.",
    "anyOf": [
        {"enum": ["lab", "empty"]},
        {
            "type": "object",
            "properties": {"lab": {"enum": [str(anchor) for anchor in Anchor]}},
            "required": ["lab"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"file": {"type": "string", "minLength": 1}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ],
}
_NAME_SCHEMA: Final = {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}
_CREDENTIALS_SCHEMA: Final[dict[str, Any]] = {
    "description": f"Source of the S3 credentials, never a key: {_CREDENTIAL_FORMS}.",
    "anyOf": [
        {"enum": ["lab", "env"]},
        {
            "type": "object",
            "properties": {"profile": {"type": "string", "minLength": 1}},
            "required": ["profile"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "access_key_env": _NAME_SCHEMA,
                "secret_key_env": _NAME_SCHEMA,
                "session_token_env": _NAME_SCHEMA,
            },
            "required": ["access_key_env", "secret_key_env"],
            "additionalProperties": False,
        },
    ],
}

Trust = Annotated[
    TrustSpec,
    PlainValidator(parse_trust),
    PlainSerializer(trust_data),
    WithJsonSchema(_TRUST_SCHEMA),
]
CredentialsSource = Annotated[
    CredentialsSpec,
    PlainValidator(parse_credentials),
    PlainSerializer(credentials_data),
    WithJsonSchema(_CREDENTIALS_SCHEMA),
]
