"""Settings of a lab: what it serves, as values that travel as JSON.

Certificates and keys are named by path and stay on disk; the only secrets in here are the
S3 credentials, which no ``repr`` shows and which leave the process through
:meth:`LabSettings.wire` alone, over the pipe to the lab's own process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from fleetsim.core.settings import Credentials
from fleetsim.exceptions import InputError, Problem

_Model = TypeVar("_Model", bound=BaseModel)

EVERY_SUITE: Final = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
"""Cipher list with every suite that authenticates and encrypts, however weak."""

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@unique
class TlsVersion(StrEnum):
    """Protocol versions, as OpenSSL names them."""

    TLS_1_0 = "TLSv1"
    TLS_1_1 = "TLSv1.1"
    TLS_1_2 = "TLSv1.2"
    TLS_1_3 = "TLSv1.3"


class CertificateFiles(_Settings):
    """A certificate chain and its key on disk.

    Attributes:
        chain_path: PEM, leaf first, root left out.
        key_path: PEM, unencrypted, readable by its owner alone.
        server_names: SNI names this pair is for; none = the pair used by default.
    """

    chain_path: Path
    key_path: Path
    server_names: tuple[str, ...] = ()


class TlsSettings(_Settings):
    """How a front speaks TLS.

    Attributes:
        min_version: Oldest version accepted.
        max_version: Newest version accepted.
        cipher_list: TLS 1.2 suites, OpenSSL syntax, ``@SECLEVEL`` included.
        tls13_suites: TLS 1.3 suites joined by ``:``.
        prefer_server_ciphers: Choose by this order, not by the client's.
        certificates: At least one; RSA beside EC, and more by SNI.
        dh_bits: Size of the prime for DHE suites, 0 = none of them.
        curves: Groups for ECDHE joined by ``:``, most preferred first; empty =
            OpenSSL's own.
        client_ca_path: PEM of the CAs client certificates must come from; ``None`` =
            no client certificate is asked for.
        require_client_certificate: Refuse clients without a certificate.
        crl_paths: PEM or DER revocation lists.
        check_crl: Refuse certificates that are revoked or have no current list.
        session_tickets: Let clients resume sessions.
    """

    min_version: TlsVersion = TlsVersion.TLS_1_2
    max_version: TlsVersion = TlsVersion.TLS_1_3
    cipher_list: str = EVERY_SUITE
    tls13_suites: str = (
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    )
    prefer_server_ciphers: bool = False
    certificates: Annotated[tuple[CertificateFiles, ...], Field(min_length=1)]
    dh_bits: Literal[0, 1024, 2048, 3072, 4096] = 2048
    curves: str = ""
    client_ca_path: Path | None = None
    require_client_certificate: bool = False
    crl_paths: tuple[Path, ...] = ()
    check_crl: bool = False
    session_tickets: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        versions = list(TlsVersion)
        if versions.index(self.min_version) > versions.index(self.max_version):
            raise ValueError(
                f"min_version {self.min_version} is newer than max_version "
                f"{self.max_version}"
            )
        if self.require_client_certificate and self.client_ca_path is None:
            raise ValueError("require_client_certificate needs a client_ca_path")
        if self.check_crl and not self.crl_paths:
            raise ValueError("check_crl needs at least one crl_paths entry")
        if self.check_crl and self.client_ca_path is None:
            raise ValueError("check_crl needs a client_ca_path: it checks clients")
        return self


class UpstreamSettings(_Settings):
    """The server behind a front that only relays.

    Attributes:
        host: Name or address.
        port: 1..65535.
    """

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)]


class FrontSettings(_Settings):
    """One listening address.

    Attributes:
        name: What commands call it.
        scheme: ``http`` or ``https``; ``tcp`` = bytes are passed on to another server.
        host: Address or name to bind.
        port: 0..65535; 0 lets the kernel choose.
        tls: Needed for ``https``, refused for others.
        upstream: Needed for ``tcp``, refused for others.
        handshake_timeout_s: From accept to a complete handshake.
        idle_timeout_s: Connections on which nothing moves are dropped.
        linger_s: Longest wait for the client to close after the front did.
        max_connections: More are refused.
        is_control: The control plane's: commands for all fronts leave it out, and
            requests are judged by the machine's clock also when there is a calendar.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    scheme: Literal["http", "https", "tcp"] = "https"
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 0
    tls: TlsSettings | None = None
    upstream: UpstreamSettings | None = None
    handshake_timeout_s: Seconds = 10.0
    idle_timeout_s: Seconds = 75.0
    linger_s: Seconds = 2.0
    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    is_control: bool = False

    @model_validator(mode="after")
    def _has_what_its_scheme_needs(self) -> Self:
        if self.scheme == "https" and self.tls is None:
            raise ValueError("scheme https needs tls settings")
        if self.scheme != "https" and self.tls is not None:
            raise ValueError(f"scheme {self.scheme} takes no tls settings")
        if self.scheme == "tcp" and self.upstream is None:
            raise ValueError("scheme tcp needs an upstream")
        if self.scheme != "tcp" and self.upstream is not None:
            raise ValueError(f"scheme {self.scheme} takes no upstream")
        return self


class CredentialSettings(_Settings):
    """One pair of S3 credentials.

    Attributes:
        access_key: Access key id.
        secret_key: Secret access key.
        session_token: Token of temporary credentials, empty when there is none.
    """

    access_key: Annotated[str, Field(pattern=r"^[\x21-\x2b\x2d\x2e\x30-\x7e]{1,128}$")]
    secret_key: Annotated[SecretStr, Field(min_length=1, max_length=1024)]
    session_token: SecretStr = SecretStr("")

    def credentials(self) -> Credentials:
        """Return the value the S3 side works with."""
        return Credentials(
            access_key=self.access_key,
            secret_key=self.secret_key.get_secret_value(),
            session_token=self.session_token.get_secret_value(),
        )

    @classmethod
    def of(cls, credentials: Credentials) -> Self:
        """Make settings from a value.

        Raises:
            InputError: With every character S3 could not carry.
        """
        return parse_settings(
            cls,
            {
                "access_key": credentials.access_key,
                "secret_key": credentials.secret_key,
                "session_token": credentials.session_token,
            },
            "credentials",
        )


class StoreSettings(_Settings):
    """Where objects are kept.

    Attributes:
        folder: Folder for objects; ``None`` = in memory.
        limit_bytes: Objects together may not be larger.
        keep_bodies: ``False`` keeps only size and ETag of an object, for load runs in
            memory.
    """

    folder: Path | None = None
    limit_bytes: Annotated[int, Field(ge=1)] = 2 * 1024**3
    keep_bodies: bool = True

    @model_validator(mode="after")
    def _folder_keeps_bodies(self) -> Self:
        if self.folder is not None and not self.keep_bodies:
            raise ValueError("a folder always keeps bodies: keep_bodies is for memory")
        return self


class ClockSettings(_Settings):
    """A calendar instead of the machine's time of day; see :mod:`.lab_clock`.

    Attributes:
        epoch_unix_s: Calendar time at the origin, seconds since 1970.
        scale: Calendar seconds per second.
        origin_monotonic_ns: ``time.monotonic_ns()`` at the origin; it may lie ahead.
            ``None`` = the calendar stands still until the command ``start_clock``.
    """

    epoch_unix_s: Annotated[float, Field(ge=0, le=253_402_300_799)]
    scale: Annotated[float, Field(gt=0, le=10_000_000)] = 1.0
    origin_monotonic_ns: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True)
class LabAddress:
    """Where a lab listens.

    Attributes:
        fronts: Host and port by front name.
    """

    fronts: dict[str, tuple[str, int]]


@unique
class FrontProgram(StrEnum):
    """What ends TLS at the fronts of a lab; see :mod:`fleetsim.lab.terminators`."""

    BUILTIN = "builtin"
    NGINX = "nginx"
    HAPROXY = "haproxy"


class LabSettings(_Settings):
    """Everything a lab needs to know.

    Attributes:
        fronts: Listening addresses, at least one, names all different.
        buckets: Buckets that exist from the start.
        region: Region requests must be signed for.
        credentials: Who may sign.
        store: Where objects are kept.
        virtual_hosts: Base host names under which ``bucket.<host>`` is understood.
        clock: Calendar by which requests, client certificates and revocation lists are
            judged and objects dated; ``None`` = the machine's clock.
        front_program: What ends TLS at the fronts.
        front_folder: Private folder for the files of a real program; needed for one.
    """

    fronts: Annotated[tuple[FrontSettings, ...], Field(min_length=1)]
    buckets: tuple[str, ...] = ("fleet",)
    region: str = "us-east-1"
    credentials: tuple[CredentialSettings, ...] = ()
    store: StoreSettings = StoreSettings()
    virtual_hosts: tuple[str, ...] = ("localhost",)
    clock: ClockSettings | None = None
    front_program: FrontProgram = FrontProgram.BUILTIN
    front_folder: Path | None = None

    @model_validator(mode="after")
    def _can_be_a_real_front(self) -> Self:
        program = self.front_program
        if program is FrontProgram.BUILTIN:
            return self
        if self.front_folder is None:
            raise ValueError(f"front_program {program} needs a front_folder")
        if self.clock is not None and any(
            front.tls is not None and front.tls.client_ca_path is not None
            for front in self.fronts
        ):
            raise ValueError(
                f"{program} judges client certificates by this machine's clock: a "
                "calendar needs the built-in front"
            )
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [front.name for front in self.fronts]
        if len(set(names)) != len(names):
            raise ValueError("two fronts have the same name")
        return self

    def wire(self) -> dict[str, Any]:
        """Return the settings as JSON values, secrets in clear text.

        For the pipe to the lab's own process only: never log or store the result.
        """
        values = self.model_dump(mode="json")
        values["credentials"] = [
            {
                "access_key": each.access_key,
                "secret_key": each.secret_key.get_secret_value(),
                "session_token": each.session_token.get_secret_value(),
            }
            for each in self.credentials
        ]
        return values


def parse_settings(
    model: type[_Model], values: Mapping[str, Any], where: str = ""
) -> _Model:
    """Check settings that came as JSON values.

    Raises:
        InputError: With every problem; input values are never repeated in it.
    """
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        errors = exc.errors(include_input=False, include_url=False)
        places = [error["loc"] for error in errors]
        raise InputError(
            Problem(
                ".".join((*((where,) if where else ()), *map(str, error["loc"]))),
                error["msg"].removeprefix("Value error, "),
            )
            for error in errors
            if error["type"] != "too_short" or not _is_around(error["loc"], places)
        ) from None


def _is_around(
    place: tuple[int | str, ...], places: list[tuple[int | str, ...]]
) -> bool:
    """Tell whether an item inside is wrong: pydantic then calls the tuple short too."""
    return any(
        len(other) > len(place) and other[: len(place)] == place for other in places
    )
