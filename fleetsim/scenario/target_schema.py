"""Target schema: where the fleet uploads to, the embedded lab or a real S3 endpoint."""

import ipaddress
import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from fleetsim.core.settings import RequestStyle, Security
from fleetsim.scenario.model import (
    ClientKey,
    Name,
    Part,
    PathText,
    Port,
    TlsVersion,
)
from fleetsim.scenario.quantities import Duration, Size, shown

DEFAULT_CIPHERS: Final = "ALL:!aNULL:!eNULL:@SECLEVEL=0"

_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\Z"
)
_CIPHERS = re.compile(r"[A-Za-z0-9@!+:,=_. -]{1,4000}\Z")


def is_host_name(text: str) -> bool:
    """Whether a text can be a DNS name (RFC 1123 2.1), underscores tolerated."""
    return _HOST_NAME.match(text) is not None


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 literal, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _certificate_name(text: str) -> str:
    if is_address(text) or is_host_name(text.removeprefix("*.")):
        return text
    raise ValueError(f"expected a host name or an IP address, not {shown(text)}")


def _loopback(text: str) -> str:
    if text == "localhost" or (
        is_address(text) and ipaddress.ip_address(text).is_loopback
    ):
        return text
    raise ValueError(
        f"the lab serves this machine only: expected localhost or a loopback address, "
        f"not {shown(text)}"
    )


def _cipher_list(text: str) -> str:
    if _CIPHERS.match(text):
        return text
    raise ValueError(
        f"expected an OpenSSL cipher list such as ECDHE+AESGCM:!aNULL, not {shown(text)}"
    )


def _bucket(text: str) -> str:
    # AWS: "General purpose bucket naming rules".
    if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text) and ".." not in text:
        return text
    raise ValueError(
        "a bucket name has 3 to 63 of a-z, 0-9, '.' and '-' and starts and ends with a "
        f"letter or digit, not {shown(text)}"
    )


def _endpoint(value: object) -> object:
    """Check a URL without ever repeating it: it may carry a password."""
    if not isinstance(value, str):
        return value
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise ValueError("not a URL: expected https://host[:port]") from None
    if "@" in parts.netloc:
        raise ValueError("an endpoint carries no user name or password")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected http://host[:port] or https://host[:port]")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("an endpoint ends after the port: no path, query or fragment")
    if port == 0:
        raise ValueError("port 0 cannot be connected to")
    host = parts.hostname
    if not (is_host_name(host) or is_address(host)):
        raise ValueError(f"{shown(host)} is neither a host name nor an IP address")
    return value.strip().rstrip("/")


Bucket = Annotated[str, AfterValidator(_bucket)]
Region = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
CipherList = Annotated[str, AfterValidator(_cipher_list)]
CertificateName = Annotated[str, AfterValidator(_certificate_name)]
"""Host name or IP address of a subjectAltName; ``*.`` may stand before a name."""


class CertificateSpec(Part):
    """The certificate a lab front starts with."""

    key: ClientKey = "rsa-2048"
    """Type and size of its key."""
    names: Annotated[
        tuple[CertificateName, ...],
        Field(min_length=1, max_length=100),
    ] = ("localhost", "127.0.0.1")
    """Host names and IP addresses in its subjectAltName."""
    lifetime: Annotated[Duration, Field(ge=1)] = 90 * 86400.0
    """From the start of the run to notAfter; seconds are allowed."""
    intermediate: StrictBool = True
    """Whether an intermediate CA stands between it and the root."""


class AuthoritySpec(Part):
    """A certificate authority that the lab starts with."""

    key: ClientKey = "rsa-2048"
    """Type and size of its key."""
    lifetime: Annotated[Duration, Field(ge=1)] = 3650 * 86400.0
    """From the start of the run to notAfter; seconds are allowed."""


class AuthoritiesSpec(Part):
    """The authorities behind the first certificates of the lab."""

    root: AuthoritySpec = AuthoritySpec()
    """Root that devices trust."""
    intermediate: AuthoritySpec = AuthoritySpec()
    """Issues the certificates of the fronts, under the root."""
    devices: AuthoritySpec = AuthoritySpec()
    """Issues the certificates of the devices, under the root."""


class TlsSpec(Part):
    """How a lab front speaks TLS."""

    versions: Annotated[tuple[TlsVersion, ...], Field(min_length=1, max_length=2)] = (
        "TLSv1.2",
        "TLSv1.3",
    )
    """Protocol versions it accepts."""
    ciphers: CipherList = DEFAULT_CIPHERS
    """TLS 1.2 cipher suites, OpenSSL cipher list format. The default takes everything."""
    tls13_suites: Annotated[str, Field(pattern=r"^[A-Z0-9_:]{0,500}$")] = ""
    """TLS 1.3 cipher suites joined by ':'; empty = OpenSSL's own."""
    certificate: CertificateSpec = CertificateSpec()
    """Its certificate."""
    session_tickets: StrictBool = False
    """Whether clients may resume sessions by ticket (RFC 5077)."""
    dh_bits: Literal[0, 2048] = 2048
    """Group for DHE key exchange (RFC 7919 ffdhe2048); 0 = no DHE."""


class FrontSpec(Part):
    """One address the lab listens on. All fronts serve the same bucket."""

    name: Name = "main"
    """What cohorts call it."""
    security: Security = Security.MEDIUM
    """low = HTTP, medium = HTTPS, high = HTTPS with client certificates required."""
    host: Annotated[str, AfterValidator(_loopback)] = "localhost"
    """Name or loopback address the devices connect to."""
    port: Port = 0
    """TCP port; 0 = any free one."""
    tls: TlsSpec | None = None
    """How it speaks TLS; left out = the defaults. Refused for security low."""

    @property
    def effective_tls(self) -> TlsSpec | None:
        """TLS settings with defaults filled in; ``None`` = plain HTTP."""
        if self.security is Security.LOW:
            return None
        return self.tls or TlsSpec()


class StoreSpec(Part):
    """Where the lab keeps objects."""

    limit: Annotated[Size, Field(ge=1)] = 2 * 1024**3
    """Objects together may not be larger."""
    folder: PathText | None = None
    """Folder for objects; left out = in memory."""
    keep_bodies: StrictBool = True
    """false keeps only size and ETag of an object, for long load runs."""


class LabSpec(Part):
    """The embedded S3 server: started for the run, gone after it."""

    bucket: Bucket = "fleet"
    """Bucket the fleet uploads to."""
    region: Region = "us-east-1"
    """Region requests must be signed for."""
    store: StoreSpec = StoreSpec()
    """Where objects are kept."""
    authorities: AuthoritiesSpec = AuthoritiesSpec()
    """Who issues the first certificates."""
    fronts: Annotated[tuple[FrontSpec, ...], Field(min_length=1, max_length=32)] = (
        FrontSpec(),
    )
    """Addresses to listen on; the first is the default of the cohorts."""


def _several(value: object) -> object:
    """One path is a list of one."""
    return (value,) if isinstance(value, str) else value


_PATH_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 4096}
Paths = Annotated[
    tuple[PathText, ...],
    BeforeValidator(_several),
    Field(max_length=32),
    WithJsonSchema({"anyOf": [_PATH_SCHEMA, {"type": "array", "items": _PATH_SCHEMA}]}),
]
"""One path or several, relative to the scenario file."""


class ObserveSpec(Part):
    """What the servers of a target say about the run; see `fleetsim log-format`."""

    nginx_log: Paths = ()
    """Access and error logs of nginx."""
    haproxy_log: Paths = ()
    """Files that HAProxy's log goes to."""
    rgw_admin_socket: Paths = ()
    """Admin sockets of Ceph RADOS gateways."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is named."""
        return not (self.nginx_log or self.haproxy_log or self.rgw_admin_socket)


class TargetSpec(Part):
    """A real S3 endpoint."""

    endpoint: Annotated[str, BeforeValidator(_endpoint)] | None = None
    """http(s)://host[:port]; left out = AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL."""
    bucket: Bucket
    """Bucket the fleet uploads to."""
    region: Region | None = None
    """Region of the signature; left out = AWS_REGION, else us-east-1."""
    style: RequestStyle | None = None
    """path or virtual (bucket in the host name); left out = as the profile says."""
    ca_file: PathText | None = None
    """PEM file the control plane trusts for this endpoint, and the devices' trust
    unless their cohort says otherwise; relative to the scenario file."""
    observe: ObserveSpec = ObserveSpec()
    """Logs and counters of the servers, to be put beside what the devices say."""
    client_certificate: PathText | None = None
    """PEM file, chain included, that the control plane shows an endpoint that asks for
    client certificates; left out = one issued for the run by the PKI folder of the
    first cohort that names one."""
    client_key: PathText | None = None
    """PEM file with its private key; given together with client_certificate."""

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together")
        return self

    @property
    def scheme(self) -> str | None:
        """``http`` or ``https``; ``None`` = only the environment knows."""
        return urlsplit(self.endpoint).scheme if self.endpoint else None

    @property
    def host(self) -> str | None:
        """Host name or IP literal without brackets."""
        return urlsplit(self.endpoint).hostname if self.endpoint else None

    @property
    def port(self) -> int | None:
        """TCP port, the scheme's default when the endpoint names none."""
        if not self.endpoint:
            return None
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)
