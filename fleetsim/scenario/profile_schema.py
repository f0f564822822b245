"""Profile schema: a device profile as data, every figure with its provenance.

A figure is a mapping ``{value, provenance, source}``: what it is, how well it is known
and where that can be looked up. Reports name the profile, and whoever doubts a result
can see which of its figures are facts. Durations, sizes and distributions are written
as in scenarios (``5m``, ``50MB``, ``{uniform: [10s, 12s]}``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationError,
)

from fleetsim.core import settings
from fleetsim.core.cipher_groups import SUITES, is_known, is_tls13
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.distributions import DurationDistribution
from fleetsim.scenario.model import Part, TlsVersion
from fleetsim.scenario.quantities import Duration, Ratio, Size
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import Document, Loc


@unique
class Provenance(StrEnum):
    """How well a figure is known."""

    DOCUMENTED = "documented"  # stated by the maker, a vendor or a standard
    INFERRED = "inferred"  # follows from something documented; the source says how
    UNKNOWN_DEFAULT = "unknown-default"  # nothing public; a choice made here


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of a profile with its provenance.

    Attributes:
        path: Place in the profile, for example ``bundle.max_certificates``.
        value: As written in the profile: plain data, durations and sizes as texts.
        provenance: How well it is known.
        source: Where it comes from, for people.
    """

    path: str
    value: object
    provenance: Provenance
    source: str


Value = TypeVar("Value")


class Stated(Part, Generic[Value]):
    """One figure: its value, how well it is known and where it comes from."""

    value: Value
    provenance: Provenance
    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]


def _suite(name: str) -> str:
    if not is_known(name):
        near = did_you_mean(name, [suite.openssl for suite in SUITES])
        raise ValueError(f"{name!r} is not a known cipher suite (OpenSSL name){near}")
    return name


def _positive(value: float) -> float:
    if not value > 0:
        raise ValueError("must be above 0")
    return value


_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")]
_Suite = Annotated[str, AfterValidator(_suite)]
_PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
_JsonKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class _Group(Part):
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    suites: Annotated[tuple[_Suite, ...], Field(min_length=1)]


class _Fallback(Part):
    advance_on: Stated[settings.AdvanceOn]
    memory: Stated[settings.GroupMemory]
    step_back: Stated[settings.StepBack]
    delay: Stated[Duration]


class _Bundle(Part):
    max_certificates: Stated[Annotated[StrictInt, Field(ge=1, le=10_000)]]
    max_size: Stated[Annotated[Size, AfterValidator(_positive)]]
    distinct_by: Stated[settings.DistinctBy]
    require_ca: Stated[StrictBool]
    rsa_bits: Stated[tuple[Annotated[StrictInt, Field(ge=512, le=16384)], ...]]
    ec_curves: Stated[tuple[Literal["secp256r1", "secp384r1", "secp521r1", "*"], ...]]
    on_bad: Stated[settings.OnBadBundle]
    digest: Stated[Literal["sha1", "md5"]]


class _Tls(Part):
    min_version: Stated[TlsVersion]
    max_version: Stated[TlsVersion]
    security_level: Stated[Annotated[StrictInt, Field(ge=0, le=2)]]
    curves: Stated[tuple[Literal["X25519", "X448", "P-256", "P-384", "P-521"], ...]]
    send_sni: Stated[StrictBool]
    check_host: Stated[StrictBool]
    check_ip: Stated[StrictBool]
    check_key_usage: Stated[StrictBool]
    resumption: Stated[StrictBool]


class _Deadlines(Part):
    dns: Stated[_PositiveDuration]
    connect: Stated[_PositiveDuration]
    handshake: Stated[_PositiveDuration]
    send: Stated[_PositiveDuration]
    response: Stated[_PositiveDuration]


class _Card(Part):
    size: Stated[Annotated[Size, AfterValidator(_positive)]]
    cyclic: Stated[StrictBool]


class _Retry(Part):
    first: Stated[_PositiveDuration]
    factor: Stated[Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]]
    max: Stated[_PositiveDuration]
    jitter: Stated[Ratio]


class _Clock(Part):
    sync: Stated[settings.ClockSync]
    tolerance: Stated[Duration]


class _Identity(Part):
    type_code: Stated[Annotated[str, StringConstraints(pattern=r"^[0-9A-F]{8}$")]]
    fw_ver: Stated[Annotated[str, StringConstraints(pattern=r"^\d\d\.\d\d\.\d\d$")]]
    hw_ver: Stated[
        Annotated[str, StringConstraints(pattern=r"^\d\d\.\d\d/\d\d\.\d\d$")]
    ]
    digests_key: Stated[Literal["certs_server_sha1", "certs_server_md5"]]
    extra: Stated[dict[_JsonKey, Annotated[str, StringConstraints(max_length=200)]]]


class _Profile(Part):
    """The whole profile file."""

    name: _Name
    description: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)
    ]
    cipher_tables: Annotated[
        dict[_Name, Stated[Annotated[tuple[_Group, ...], Field(min_length=1)]]],
        Field(min_length=1),
    ]
    fallback: _Fallback
    bundle: _Bundle
    tls: _Tls
    deadlines: _Deadlines
    card: _Card
    retry: _Retry
    clock: _Clock
    identity: _Identity
    change_detection: Stated[settings.ChangeDetection]
    heartbeat: Stated[Duration]
    ota: Stated[Duration]
    upload_delay: Stated[DurationDistribution]
    style: Stated[settings.RequestStyle]
    signed_payload: Stated[StrictBool]
    extension: Stated[Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,8}$")]]
    boot_uploads_schema: Stated[StrictBool]
    metadata_network_key: Stated[Literal["Ssid", "Net", ""]]
    split_size: Stated[Annotated[Size, AfterValidator(_positive)]]


def parse_profile(
    document: Document, where: str
) -> tuple[settings.DeviceProfile, tuple[Figure, ...]]:
    """Turn a profile document into settings and the list of its figures.

    Args:
        document: The parsed YAML file.
        where: Name of the file for messages.

    Raises:
        InputError: The profile breaks the schema; lists every problem with its line.
    """
    try:
        model = _Profile.model_validate(document.data)
    except ValidationError as exc:
        errors = [dict(error) for error in exc.errors(include_url=False)]
        errors.sort(key=lambda error: _line(document, _path(error)))
        problems = [
            _problem(error, document, where)
            for error in errors
            if not _is_echo(error, errors)
        ]
        raise InputError(problems) from None
    contradictions = [
        Problem(f"{where}:{_line(document, path)}: {'.'.join(map(str, path))}", what)
        for path, what in _contradictions(model)
    ]
    if contradictions:
        raise InputError(contradictions)
    return _settings(model), tuple(_figures(document.data, ""))


# ---------------------------------------------------------------- problems

_FIGURE_FORM: Final = "{value: …, provenance: …, source: …}"


def _line(document: Document, path: Loc) -> int:
    """Line of a value, or of the nearest enclosing one that exists."""
    while path and path not in document.lines:
        path = path[:-1]
    return document.lines.get(path, 1)


def _path(error: dict[str, Any]) -> Loc:
    """Where pydantic found it, without its mark for keys."""
    return tuple(step for step in error["loc"] if step != "[key]")


def _is_echo(error: dict[str, Any], errors: list[dict[str, Any]]) -> bool:
    """Whether a list is only too short because its items were refused."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc
        for other in errors
    )


def _problem(error: dict[str, Any], document: Document, where: str) -> Problem:
    """Say in our words what pydantic found, with line and path."""
    path = _path(error)
    what = str(error["msg"]).removeprefix("Value error, ")
    match error["type"]:
        case "extra_forbidden":
            known = _known_keys(path[:-1])
            what = f"unknown key{did_you_mean(str(path[-1]), known)}"
        case "missing":
            what = "is missing"
            if path and path[-1] in {"value", "provenance", "source"}:
                what += f"; every figure is {_FIGURE_FORM}"
        case "model_type" | "model_attributes_type":
            is_figure = "Stated" in str(error.get("ctx", {}).get("class_name", ""))
            what = f"expected {_FIGURE_FORM if is_figure else 'a mapping'}"
        case _:
            pass  # pydantic's own sentence is clear enough
    shown = ".".join(str(step) for step in path)
    place = f"{where}:{_line(document, path)}"
    return Problem(f"{place}: {shown}" if shown else place, what)


def _known_keys(path: Loc) -> list[str]:
    """Keys that the schema knows at a path, as far as models go."""
    model: Any = _Profile
    for step in path:
        field = getattr(model, "model_fields", {}).get(step)
        model = field.annotation if field else Stated
    return list(getattr(model, "model_fields", {}))


def _contradictions(model: _Profile) -> Iterator[tuple[Loc, str]]:
    """Find figures that are fine by themselves and impossible together."""
    low, high = model.tls.min_version.value, model.tls.max_version.value
    if low > high:
        yield ("tls", "min_version"), f"{low} is above max_version {high}"
    yield from _useless_groups(model, low, max(low, high))
    if model.retry.max.value < model.retry.first.value:
        yield ("retry", "max"), "is below first"
    digest = model.bundle.digest.value
    if not model.identity.digests_key.value.endswith(digest):
        yield ("identity", "digests_key"), f"does not fit bundle.digest {digest}"


def _useless_groups(model: _Profile, low: str, high: str) -> Iterator[tuple[Loc, str]]:
    """Find cipher groups without a suite for the protocol versions."""
    for name, table in model.cipher_tables.items():
        for index, group in enumerate(table.value):
            usable = any(
                low <= ("TLSv1.3" if is_tls13(suite) else "TLSv1.2") <= high
                for suite in group.suites
            )
            if not usable:
                yield (
                    ("cipher_tables", name, "value", index),
                    f"{group.name!r} has no suite for {low} to {high}",
                )


# ---------------------------------------------------------------- result


def _settings(model: _Profile) -> settings.DeviceProfile:
    fallback, bundle, tls = model.fallback, model.bundle, model.tls
    deadlines, card, retry = model.deadlines, model.card, model.retry
    identity, clock = model.identity, model.clock
    return settings.DeviceProfile(
        name=model.name,
        description=model.description,
        cipher_tables=tuple(
            settings.CipherTable(
                name,
                tuple(
                    settings.CipherGroup(group.name, group.suites)
                    for group in table.value
                ),
            )
            for name, table in model.cipher_tables.items()
        ),
        fallback=settings.FallbackPolicy(
            advance_on=fallback.advance_on.value,
            memory=fallback.memory.value,
            step_back=fallback.step_back.value,
            delay_s=fallback.delay.value,
        ),
        bundle=settings.BundleRules(
            max_certificates=bundle.max_certificates.value,
            max_bytes=bundle.max_size.value,
            distinct_by=bundle.distinct_by.value,
            require_ca=bundle.require_ca.value,
            rsa_bits=bundle.rsa_bits.value,
            ec_curves=bundle.ec_curves.value,
            on_bad=bundle.on_bad.value,
            digest=bundle.digest.value,
        ),
        tls=settings.TlsRules(
            min_version=tls.min_version.value,
            max_version=tls.max_version.value,
            security_level=tls.security_level.value,
            curves=tls.curves.value,
            send_sni=tls.send_sni.value,
            check_host=tls.check_host.value,
            check_ip=tls.check_ip.value,
            check_key_usage=tls.check_key_usage.value,
            resumption=tls.resumption.value,
        ),
        deadlines=settings.Deadlines(
            dns_s=deadlines.dns.value,
            connect_s=deadlines.connect.value,
            handshake_s=deadlines.handshake.value,
            send_s=deadlines.send.value,
            response_s=deadlines.response.value,
        ),
        card=settings.CardRules(size_bytes=card.size.value, cyclic=card.cyclic.value),
        retry=settings.RetryPolicy(
            first_s=retry.first.value,
            factor=retry.factor.value,
            max_s=retry.max.value,
            jitter_ratio=retry.jitter.value,
        ),
        clock=settings.ClockRules(
            sync=clock.sync.value, tolerance_s=clock.tolerance.value
        ),
        identity=settings.Identity(
            type_code=identity.type_code.value,
            fw_ver=identity.fw_ver.value,
            hw_ver=identity.hw_ver.value,
            digests_key=identity.digests_key.value,
            extra=tuple(identity.extra.value.items()),
        ),
        change_detection=model.change_detection.value,
        heartbeat_s=model.heartbeat.value,
        ota_s=model.ota.value,
        upload_delay=model.upload_delay.value,
        style=model.style.value,
        signed_payload=model.signed_payload.value,
        extension=model.extension.value,
        boot_uploads_schema=model.boot_uploads_schema.value,
        metadata_network_key=model.metadata_network_key.value,
        split_size_bytes=model.split_size.value,
    )


def _figures(data: object, path: str) -> Iterator[Figure]:
    """Walk a valid profile document and collect its figures in file order."""
    if not isinstance(data, Mapping):
        return
    if "provenance" in data:
        yield Figure(
            path=path,
            value=data["value"],
            provenance=Provenance(data["provenance"]),
            source=" ".join(str(data["source"]).split()),
        )
        return
    for key, value in data.items():
        yield from _figures(value, f"{path}.{key}" if path else str(key))
