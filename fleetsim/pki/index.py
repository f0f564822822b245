"""Index: ``pki.json``, what a PKI folder holds. Public facts only, never a secret.

The file is the commit point of every command: certificate and key files that it does
not name do not belong to the PKI. Certificates are written one per line, so that
revoking one device in ten thousand changes one line.
"""

import json
from collections.abc import Iterable
from enum import StrEnum, unique
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.crl import Reason
from fleetsim.pki.keys import KeyType

FILE_NAME: Final = "pki.json"

# One optional sub-folder, no leading dot: an index can never point out of its folder.
RelativeFile = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z-]+/)?[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200
    ),
]
SerialText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,40}$")]


@unique
class Kind(StrEnum):
    """What a certificate is for."""

    AUTHORITY = "authority"
    SERVER = "server"
    DEVICE = "device"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Model):
    """One certificate.

    Attributes:
        kind: What it is for.
        name: Authority name, first server name or address, or device id.
        serial: Serial number, lower-case hex without leading zeros.
        issuer: Name of the authority that signed it; a root names itself.
        certificate: File whose first certificate it is.
        key: File of its private key, perhaps shared.
        sha256: Fingerprint of the DER form, lower-case hex.
        revoked_at: When it was revoked, ``None`` = it was not.
        reason: Why it was revoked.
    """

    kind: Kind
    name: str
    serial: SerialText
    issuer: str
    certificate: RelativeFile
    key: RelativeFile
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    revoked_at: AwareDatetime | None = None
    reason: Reason | None = None


class Batch(_Model):
    """One ``issue devices`` command.

    Attributes:
        issued_at: When.
        devices: How many certificates.
        key_type: Kind of the devices' keys.
        keys: How many different keys they share; equal to ``devices`` when each has
            its own.
        unique_keys: Whether every device has a key of its own.
    """

    issued_at: AwareDatetime
    devices: Annotated[int, Field(ge=1)]
    key_type: KeyType
    keys: Annotated[int, Field(ge=1)]
    unique_keys: bool


class Index(_Model):
    """Everything in ``pki.json``.

    Attributes:
        schema_version: Version of this layout.
        created: When the folder was made.
        serial_seed: Seed of repeatable serial numbers, ``None`` = random ones.
        crl_number: Number of the last CRLs written.
        server_authority: Name of the authority that issues servers.
        device_authority: Name of the authority that issues devices.
        batches: How the devices' keys were chosen, oldest first.
        certificates: Every certificate, oldest first; authorities after their issuer.
    """

    schema_version: Literal[1] = 1
    created: AwareDatetime
    serial_seed: int | None = None
    crl_number: Annotated[int, Field(ge=0)] = 0
    server_authority: str
    device_authority: str
    batches: tuple[Batch, ...] = ()
    certificates: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: bytes, where: str) -> Self:
        """Read ``pki.json``.

        Raises:
            InputError: With every field that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as exc:
            raise InputError(
                Problem(f"{where}: {'.'.join(map(str, each['loc']))}", each["msg"])
                for each in exc.errors(include_url=False)[:20]
            ) from exc

    def dump(self) -> bytes:
        """Write ``pki.json``: general fields first, then one certificate per line."""
        general = self.model_dump(mode="json", exclude={"certificates"})
        head = json.dumps(general, indent=2).removesuffix("\n}")
        lines = ",\n".join(
            "    " + each.model_dump_json(exclude_none=True)
            for each in self.certificates
        )
        return f'{head},\n  "certificates": [\n{lines}\n  ]\n}}\n'.encode()

    def with_certificates(self, added: Iterable[Entry]) -> Self:
        """Return the index with certificates appended."""
        return self.model_copy(update={"certificates": (*self.certificates, *added)})

    def of_kind(self, kind: Kind) -> tuple[Entry, ...]:
        """List the certificates of one kind, oldest first."""
        return tuple(each for each in self.certificates if each.kind is kind)
