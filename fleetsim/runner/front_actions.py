"""FrontDesk: changes how the fronts of the lab speak TLS, one change upon another.

The desk remembers the present settings of every front, so that swapping the ciphers keeps
the certificate that was swapped before. Every certificate and list goes into a new file;
the old ones stay until the run is over, because open connections may still use them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.lab.settings import CertificateFiles, TlsSettings, TlsVersion
from fleetsim.pki.certificates import certificates_pem
from fleetsim.pki.files import write_new
from fleetsim.pki.leaves import Leaf
from fleetsim.runner.front_control import FrontControl
from fleetsim.runner.timeline import ActionFailedError, Facts

Change = Callable[[TlsSettings], Mapping[str, Any]]
"""Gives the fields of a front's settings that change."""


class FrontDesk:
    """Changes the TLS settings of fronts.

    Args:
        control: Carries the changes out.
        settings: Settings of every TLS front at the start, by front name.
        folder: Private folder (0700) for certificates and keys.
    """

    def __init__(
        self,
        control: FrontControl,
        settings: Mapping[str, TlsSettings],
        folder: Path,
    ) -> None:
        self.control = control
        self._settings = dict(settings)
        self._folder = folder
        self._files = 0
        self._lock = asyncio.Lock()

    @property
    def settings(self) -> Mapping[str, TlsSettings]:
        """Present settings of every TLS front."""
        return self._settings

    # ------------------------------------------------------------ changes

    async def swap_certificate(self, front: str | None, leaf: Leaf) -> Facts:
        """Present another certificate chain.

        Args:
            front: Front; ``None`` = all TLS fronts.
            leaf: Certificate with the chain that is sent along, and its key.
        """
        number = self._next_file()
        chain_path = self._folder / f"server-{number}.pem"
        key_path = self._folder / f"server-{number}.key"
        await asyncio.to_thread(write_new, chain_path, leaf.chain_pem())
        await asyncio.to_thread(write_new, key_path, leaf.key_pem(), is_secret=True)
        files = CertificateFiles(chain_path=chain_path, key_path=key_path)
        fronts = await self.change(front, lambda _: {"certificates": (files,)})
        return {
            "fronts": list(fronts),
            "sends": [describe(each) for each in (leaf.certificate, *leaf.chain)],
        }

    async def swap_ciphers(self, front: str | None, ciphers: str) -> Facts:
        """Accept other TLS 1.2 cipher suites."""
        fronts = await self.change(front, lambda _: {"cipher_list": ciphers})
        return {"fronts": list(fronts), "ciphers": ciphers}

    async def swap_versions(self, front: str | None, versions: Sequence[str]) -> Facts:
        """Accept other protocol versions."""
        ordered = sorted(TlsVersion(version) for version in versions)
        fronts = await self.change(
            front, lambda _: {"min_version": ordered[0], "max_version": ordered[-1]}
        )
        return {"fronts": list(fronts), "versions": [str(each) for each in ordered]}

    async def judge_clients(
        self,
        client_cas: Sequence[x509.Certificate],
        crls: Sequence[x509.CertificateRevocationList],
    ) -> tuple[str, ...]:
        """Judge client certificates by other CAs and revocation lists.

        Returns:
            The fronts that ask for client certificates; the others do not change.
        """
        number = self._next_file()
        ca_path = self._folder / f"client-ca-{number}.pem"
        crl_path = self._folder / f"clients-{number}.crl"
        lists = b"".join(crl.public_bytes(Encoding.PEM) for crl in crls)
        await asyncio.to_thread(write_new, ca_path, certificates_pem(client_cas))
        await asyncio.to_thread(write_new, crl_path, lists)

        def change(tls: TlsSettings) -> Mapping[str, Any]:
            if tls.client_ca_path is None:
                return {}
            return {
                "client_ca_path": ca_path,
                "crl_paths": (crl_path,),
                "check_crl": True,
            }

        return await self.change(None, change)

    async def change(self, front: str | None, change: Change) -> tuple[str, ...]:
        """Change settings of one front, or of all TLS fronts, in the plan's order.

        Returns:
            Names of the fronts that were changed.

        Raises:
            ActionFailedError: There is no such TLS front.
            InputError: A front refuses the settings; those before it have changed.
            TargetError: The lab cannot be reached.
        """
        names = tuple(self._settings) if front is None else (front,)
        changed: list[str] = []
        async with self._lock:
            for name in names:
                if name not in self._settings:
                    raise ActionFailedError(f"front {name} does not speak TLS")
                fields = change(self._settings[name])
                if not fields:
                    continue
                tls = self._settings[name].model_copy(update=dict(fields))
                await self.control.swap_front(name, tls)
                self._settings[name] = tls
                changed.append(name)
        return tuple(changed)

    def _next_file(self) -> int:
        self._files += 1
        return self._files


def describe(certificate: x509.Certificate) -> Facts:
    """Say which certificate it is, for the timeline."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:X}",
        "not_before": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": certificate.fingerprint(hashes.SHA256()).hex().upper(),
    }
