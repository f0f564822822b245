"""PkiRegistry: every certificate of a rehearsal by the name the scenario gives it.

Built in are ``root``, ``intermediate`` (issues servers), ``devices`` (issues devices) and
the name of every TLS front (its first certificate); entries of the timeline add theirs.
A name stands for one certificate: trusting it, sending it or issuing under it all mean
that one. Lifetimes count in the time of the calendar.

Keys are made before the run starts (:func:`prepare_keys`): an RSA key takes 50 ms or more
of a core, during which no device would be served.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from fleetsim.core.device_settings import NS_PER_S
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import (
    Authority,
    create_intermediate,
    create_root,
    cross_sign,
)
from fleetsim.pki.certificates import Validity
from fleetsim.pki.keys import KeyType, PrivateKey, generate_key
from fleetsim.pki.leaves import Leaf, issue_server
from fleetsim.runner.lab_setup import CLOCK_SLACK, LabKit
from fleetsim.scenario.target_schema import is_address
from fleetsim.scenario.timeline import TimelinePlan
from fleetsim.scenario.timeline_schema import (
    ChainForm,
    CrossSign,
    IssueCa,
    IssueServerCertificate,
)

Now = Callable[[], datetime]
"""The calendar's present, aware."""

Keys = Mapping[int, PrivateKey]
"""Keys made beforehand, by index of the timeline entry that will use them."""


def prepare_keys(entries: Iterable[TimelinePlan]) -> dict[int, PrivateKey]:
    """Make the keys that the timeline will need.

    Raises:
        InputError: A key type cannot be made.
    """
    return {
        entry.index: generate_key(KeyType(entry.action.key))
        for entry in entries
        if isinstance(entry.action, IssueCa | IssueServerCertificate)
    }


class PkiRegistry:
    """The certificates of a run.

    Args:
        kit: Certificates the lab started with; ``None`` = there is no lab.
        now: The calendar's present.
        keys: Keys made beforehand; an entry without one gets a key when it is due.
    """

    def __init__(self, kit: LabKit | None, now: Now, keys: Keys | None = None) -> None:
        self._now = now
        self._keys = dict(keys or {})
        self._authorities: dict[str, Authority] = {}
        self._leaves: dict[str, Leaf] = {}
        if kit is not None:
            self._authorities |= {
                "root": kit.root,
                "intermediate": kit.server_authority,
                "devices": kit.device_authority,
            }
            self._leaves |= kit.servers

    # ------------------------------------------------------------ making

    def issue_ca(self, entry: TimelinePlan, spec: IssueCa) -> Authority:
        """Make a CA, named by the entry.

        Raises:
            InputError: No such issuer, or the CA cannot be made.
        """
        validity = self._validity(spec.lifetime)
        common_name = spec.common_name or entry.name
        key = self._key(entry, spec.key)
        if spec.under is None:
            made = create_root(validity=validity, common_name=common_name, key=key)
        else:
            made = create_intermediate(
                self.authority(spec.under),
                validity=validity,
                common_name=common_name,
                key=key,
            )
        self._authorities[entry.name] = made
        return made

    def cross_sign(self, entry: TimelinePlan, spec: CrossSign) -> Authority:
        """Certify the key of one authority by another; named by the entry.

        Raises:
            InputError: No such authority.
        """
        made = cross_sign(
            self.authority(spec.by),
            self.authority(spec.ca),
            validity=self._validity(spec.lifetime),
        )
        self._authorities[entry.name] = made
        return made

    def issue_server(self, entry: TimelinePlan, spec: IssueServerCertificate) -> Leaf:
        """Make a server certificate, named by the entry.

        Raises:
            InputError: No such issuer, or the certificate cannot be made.
        """
        now = self._now()
        # "Valid since yesterday" is what lets devices with slow clocks connect.
        begins = now + timedelta(seconds=spec.starts) if spec.starts else now
        validity = Validity(
            begins if spec.starts else now - CLOCK_SLACK,
            begins.replace(microsecond=0) + timedelta(seconds=spec.lifetime),
        )
        made = issue_server(
            self.authority(spec.ca),
            validity=validity,
            names=[name for name in spec.names if not is_address(name)],
            ips=[name for name in spec.names if is_address(name)],
            with_common_name=spec.with_common_name,
            with_key_encipherment=spec.with_key_encipherment,
            key=self._key(entry, spec.key),
        )
        self._leaves[entry.name] = made
        return made

    def _validity(self, lifetime_s: float) -> Validity:
        now = self._now()
        return Validity(
            now - CLOCK_SLACK,
            now.replace(microsecond=0) + timedelta(seconds=lifetime_s),
        )

    def _key(self, entry: TimelinePlan, kind: str) -> PrivateKey:
        prepared = self._keys.pop(entry.index, None)
        return generate_key(KeyType(kind)) if prepared is None else prepared

    # ------------------------------------------------------------ finding

    def authority(self, name: str) -> Authority:
        """Find a CA or a cross-signed CA.

        Raises:
            InputError: There is none of this name (yet).
        """
        found = self._authorities.get(name)
        if found is None:
            raise InputError(Problem(f"authority {name}", "has not been made yet"))
        return found

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """Every CA and cross-signed CA there is so far."""
        return tuple(self._authorities.values())

    def find(self, certificate: x509.Certificate) -> Authority | None:
        """The authority of a CA certificate, ``None`` = it is not of this run."""
        for each in self._authorities.values():
            if each.certificate == certificate:
                return each
        return None

    def leaf(self, name: str) -> Leaf:
        """Find a server certificate.

        Raises:
            InputError: There is none of this name (yet).
        """
        found = self._leaves.get(name)
        if found is None:
            raise InputError(
                Problem(f"server certificate {name}", "has not been made yet")
            )
        return found

    def certificate(self, name: str) -> x509.Certificate:
        """Find the certificate of any name, as it goes into a bundle.

        Raises:
            InputError: There is none of this name (yet).
        """
        if name in self._authorities:
            return self._authorities[name].certificate
        if name in self._leaves:
            return self._leaves[name].certificate
        raise InputError(Problem(f"certificate {name}", "has not been made yet"))

    def presented(
        self, name: str, form: ChainForm, also_send: Sequence[str] = ()
    ) -> Leaf:
        """A server certificate with the chain a server is to send with it.

        Args:
            name: Server certificate.
            form: What is sent besides the leaf.
            also_send: Further certificates at the end, by name.

        Raises:
            InputError: A name is not known (yet).
        """
        leaf = self.leaf(name)
        extra = tuple(self.certificate(each) for each in also_send)
        return replace(leaf, chain=(*self._chain(leaf, form), *extra))

    def _chain(self, leaf: Leaf, form: ChainForm) -> tuple[x509.Certificate, ...]:
        root = self.root_of(leaf)
        roots = () if root is None else (root,)
        match form:
            case ChainForm.FULL:
                return leaf.chain
            case ChainForm.LEAF_ONLY:
                return ()
            case ChainForm.WITH_ROOT:
                return (*leaf.chain, *roots)
            case ChainForm.WRONG_ORDER:
                # One intermediate alone has no order: the root goes before it.
                known = leaf.chain if len(leaf.chain) > 1 else (*leaf.chain, *roots)
                return tuple(reversed(known))

    def root_of(self, leaf: Leaf) -> x509.Certificate | None:
        """The root that signed the top of a chain; ``None`` = it is self-signed."""
        top = (leaf.certificate, *leaf.chain)[-1]
        return self.issuer_of(top)

    def issuer_of(self, certificate: x509.Certificate) -> x509.Certificate | None:
        """The self-signed root of this run that issued a certificate."""
        for each in self._authorities.values():
            root = each.certificate
            if root == certificate or not each.is_root:
                continue
            try:
                certificate.verify_directly_issued_by(root)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return root
        return None


def calendar(epoch_unix_s: float, scale: float, now_ns: Callable[[], int]) -> Now:
    """Make the calendar's present of run time.

    Args:
        epoch_unix_s: Date at run time 0.
        scale: Calendar seconds per run second.
        now_ns: Run time.
    """
    epoch = datetime.fromtimestamp(0, tz=UTC) + timedelta(seconds=epoch_unix_s)

    def now() -> datetime:
        return epoch + timedelta(seconds=now_ns() / NS_PER_S * scale)

    return now
