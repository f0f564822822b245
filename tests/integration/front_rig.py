"""A lab in its own process with a front of choice, and clients that try it."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import (
    CertificateFiles,
    FrontProgram,
    FrontSettings,
    LabSettings,
    TlsSettings,
)
from fleetsim.pki.certificates import Validity
from fleetsim.pki.crl import Revocation, build_crl
from fleetsim.pki.files import write_new
from fleetsim.pki.leaves import Leaf
from fleetsim.transport.tls_pump import TlsPump
from tests.integration.tls_wire import program
from tests.lab.tls_clients import (
    ANY_SUITE,
    ECDHE,
    NOW,
    VALID,
    PumpClient,
    client_connection,
    root,
    server,
)

PROGRAMS = (FrontProgram.BUILTIN, FrontProgram.NGINX, FrontProgram.HAPROXY)
REAL = PROGRAMS[1:]
BUCKET_HEAD = b"HEAD /fleet HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""A request that is not signed: 403 says that it reached the S3 endpoint."""
REACHED = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one connection and one request.

    Attributes:
        status: Of the answer; 0 = none came.
        failure: Kind the client's TLS died of, empty when it did not.
        suite: Negotiated suite.
        version: Negotiated version.
        certificate: What the server showed.
        pump: The client's TLS.
    """

    status: int
    failure: str
    suite: str = ""
    version: str = ""
    certificate: x509.Certificate | None = None
    pump: TlsPump

    @property
    def is_served(self) -> bool:
        """Whether the S3 endpoint was reached."""
        return self.status == REACHED


class Rig:
    """A lab behind one program.

    Args:
        kind: What ends TLS.
        folder: For certificates.
        front_folder: For the program; a short path.
    """

    def __init__(self, kind: FrontProgram, folder: Path, front_folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.front_folder = front_folder
        self.lab = LabProcess()
        self.port = 0
        self._written = 0

    async def start(self, *leaves: Leaf, **changes: Any) -> None:
        """Start with these TLS settings; the rest as :meth:`tls` says."""
        self.settings = LabSettings.model_validate(
            {
                "fronts": (
                    FrontSettings(name="tls", tls=self.tls(*leaves, **changes)),
                ),
                "credentials": (
                    {"access_key": "AKTEST", "secret_key": "a-secret-nobody-may-see"},
                ),
                "front_program": self.kind,
                "front_folder": self.front_folder / "fronts",
            }
        )
        address = await self.lab.start(self.settings)
        self.port = address.fronts["tls"][1]

    def tls(
        self,
        *leaves: Leaf,
        names: Sequence[tuple[str, ...]] = (),
        client_ca: Sequence[x509.Certificate] = (),
        crls: Sequence[x509.CertificateRevocationList] = (),
        **changes: Any,
    ) -> TlsSettings:
        """TLS settings: every suite, versions 1.2 and 1.3, a certificate for localhost.

        Args:
            leaves: Certificates.
            names: SNI names of each of them.
            client_ca: Ask for certificates of these; required unless ``changes`` differ.
            crls: And check them.
            changes: Further fields.
        """
        chosen = leaves or (server("localhost"),)
        values: dict[str, Any] = {"cipher_list": ANY_SUITE}
        if client_ca:
            values["client_ca_path"] = self._write(
                "ca.pem",
                b"".join(each.public_bytes(Encoding.PEM) for each in client_ca),
            )
            values["require_client_certificate"] = True
        if crls:
            values["crl_paths"] = tuple(
                self._write("list.crl", each.public_bytes(Encoding.DER))
                for each in crls
            )
            values["check_crl"] = True
        values["certificates"] = tuple(
            CertificateFiles(
                chain_path=self._write("chain.pem", leaf.chain_pem()),
                key_path=self._write("leaf.key", leaf.key_pem()),
                server_names=names[number] if names else (),
            )
            for number, leaf in enumerate(chosen)
        )
        return TlsSettings.model_validate({**values, **changes})

    async def swap(self, tls: TlsSettings) -> None:
        """Use other TLS settings."""
        await self.lab.request(
            "swap_front", front="tls", tls=tls.model_dump(mode="json")
        )

    async def attempt(
        self,
        *suites: str,
        leaf: Leaf | None = None,
        host: str = "localhost",
        rules: TlsRules | None = None,
        session: SSL.Session | None = None,
        request: bytes = BUCKET_HEAD,
    ) -> Attempt:
        """Connect, ask for something, read to the end."""
        client = await PumpClient.connect(
            self.port,
            client_connection(
                group=CipherGroup("group", suites) if suites else ECDHE,
                leaf=leaf,
                host=host,
                rules=rules,
                session=session,
            ),
        )
        pump = client.pump
        assert pump is not None
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                await client.opened()
            if pump.is_open:
                client.send(request)
            if pump.failure is not None:
                client.close()
            await client.lost
        head = bytes(client.plaintext).split(b"\r\n", 1)[0].split(b" ")
        handshake = pump.handshake_info() if pump.is_open else None
        return Attempt(
            status=int(head[1]) if len(head) > 1 else 0,
            failure="" if pump.failure is None else pump.failure.kind,
            suite=handshake.suite if handshake else "",
            version=handshake.version if handshake else "",
            certificate=pump.peer_certificate(),
            pump=pump,
        )

    async def handshakes(self, count: int) -> list[dict[str, Any]]:
        """What the front logged, once it has written so many entries."""
        entries: list[dict[str, Any]] = []
        while len(entries) < count:
            answer = await self.lab.request("handshake_log", front="tls")
            entries = answer["entries"]
        return entries

    def _write(self, name: str, content: bytes) -> Path:
        self._written += 1
        path = self.folder / f"{self._written}-{name}"
        write_new(path, content, is_secret=name.endswith(".key"))
        return path


@contextlib.asynccontextmanager
async def rig(kind: FrontProgram, folder: Path) -> AsyncIterator[Rig]:
    """Provide a rig that is gone afterwards; skips where the program is missing."""
    if kind is not FrontProgram.BUILTIN:
        program(kind)
    # pytest's own folders are too deep for a socket.
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as short:
        each = Rig(kind, folder, Path(short))
        try:
            yield each
        finally:
            await each.lab.stop(grace_s=0.2)


def revocation_list(
    *leaves: Leaf,
    ca: str = "devices",
    number: int = 1,
    validity: Validity = VALID,
    filler: int = 0,
) -> x509.CertificateRevocationList:
    """List of revoked certificates of a test authority, and of others to fill it."""
    serials = [each.certificate.serial_number for each in leaves]
    serials += range(1, filler + 1)
    return build_crl(
        root(ca),
        [Revocation(serial, NOW) for serial in serials],
        number=number,
        validity=validity,
    )
