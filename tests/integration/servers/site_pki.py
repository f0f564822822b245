"""Site PKI: the certificates of a front and its fleet, made with ``fleetsim pki``."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.pki.folder import CRL_FILE, load_folder
from fleetsim.pki.inventory import load_server
from fleetsim.transport.tls_server import ServerCertificate, ServerTls

HOST: Final = "localhost"
_EC_NAME: Final = f"ec.{HOST}"
MODERN: Final = "ECDHE-RSA-AES128-GCM-SHA256"
EC: Final = "ECDHE-ECDSA-AES128-GCM-SHA256"
EVERY: Final = f"{MODERN}:{EC}:ECDHE-RSA-AES128-SHA:AES128-GCM-SHA256:AES128-SHA"
"""Suites that every front here can serve, with and without forward secrecy."""


class SitePki:
    """A PKI folder and what a front reads from it.

    Args:
        path: The folder; missing, its parent exists.
        device_ids: Devices that get certificates.
    """

    def __init__(self, path: Path, device_ids: Sequence[str]) -> None:
        self.path = path
        ids = path.parent / f"{path.name}.ids"
        ids.write_text("\n".join(device_ids))
        _pki("init", path)
        self.renew_server()
        _pki("issue", "devices", path, "--ids", ids, "--pool", "2")

    def renew_server(self) -> None:
        """Issue the front's next certificates: one with an RSA key, one with an EC key."""
        issue = ("issue", "server", self.path)
        _pki(*issue, "--name", HOST)
        _pki(*issue, "--name", _EC_NAME, "--name", HOST, "--key-type", "p256")

    def revoke(self, device_id: str) -> None:
        """Put a device on the revocation list."""
        _pki("revoke", self.path, device_id, "--reason", "keyCompromise")

    def front_tls(self, *, is_mutual: bool = True, ciphers: str = EVERY) -> ServerTls:
        """Settings of a front: the newest certificates and lists, TLS 1.2.

        Args:
            is_mutual: Whether devices must show a certificate.
            ciphers: OpenSSL names joined by ``:``.
        """
        folder = load_folder(self.path, issuing_at=datetime.now(UTC))
        leaves = [load_server(folder, name) for name in (HOST, _EC_NAME)]
        tls = ServerTls(
            certificates=tuple(
                ServerCertificate(chain=(each.certificate, *each.chain), key=each.key)
                for each in leaves
            ),
            max_version="TLSv1.2",
            cipher_list=ciphers,
            dh_bits=0,
        )
        if not is_mutual:
            return tls
        lists = (self.path / CRL_FILE).read_bytes()
        return replace(
            tls,
            client_cas=tuple(each.certificate for each in folder.authorities.values()),
            require_client_certificate=True,
            crls=tuple(x509.load_pem_x509_crl(each) for each in _split(lists)),
            check_crl=True,
        )


def _split(pem: bytes) -> list[bytes]:
    end = b"-----END X509 CRL-----\n"
    return [each + end for each in pem.split(end) if each.strip()]


def _pki(*arguments: str | Path) -> None:
    result = CliRunner().invoke(app, ["pki", *map(str, arguments)])
    if result.exit_code:
        raise RuntimeError(result.output) from result.exception
