"""Action checks: what an action names exists, and what it is told goes together."""

from collections.abc import Iterator, Sequence
from typing import Final

from fleetsim.core.settings import Security
from fleetsim.scenario import resolve
from fleetsim.scenario.entry_order import EntryOrder, Product
from fleetsim.scenario.finding import Finding
from fleetsim.scenario.quantities import format_duration, shown
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.specs import LabCredentials
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.target_schema import FrontSpec, is_address
from fleetsim.scenario.timeline_schema import (
    Action,
    BundleFault,
    CrossSign,
    DnsChange,
    ExpireCrl,
    Fault,
    FaultKind,
    IssueCa,
    IssueServerCertificate,
    PushBundle,
    PushConfig,
    RevokeDevices,
    RotateCredentials,
    RotateDeviceCertificates,
    Selector,
    SwapCiphers,
    SwapServerCertificate,
    SwapTlsVersions,
    Unrevoke,
)
from fleetsim.scenario.yaml_document import Loc

SHORTEST_PERIOD_S: Final = 0.01
_ISSUERS: Final = (Product.CA, Product.CROSS)
_ANY: Final = tuple(Product)
_AFTER_BYTES: Final = frozenset(
    {FaultKind.RESET, FaultKind.HALF_CLOSE, FaultKind.TRUNCATE}
)
_DELAYS: Final = frozenset({FaultKind.DELAY, FaultKind.SLOW_FIRST_BYTE})
_LAB: Final[Loc] = ("lab",)
_TIMELINE: Final[Loc] = ("timeline",)
_COHORTS: Final[Loc] = ("cohorts",)


class ActionChecks:
    """Checks one action of a timeline."""

    def __init__(
        self, scenario: Scenario, order: EntryOrder, index: int, at: Loc
    ) -> None:
        """Look at one action.

        Args:
            scenario: The scenario.
            order: Order of its timeline.
            index: Entry the action belongs to.
            at: Place of the action.
        """
        self._scenario = scenario
        self._order = order
        self._index = index
        self._at = at

    def check(self, action: Action) -> Iterator[Finding]:
        """Everything that is wrong with it."""
        yield from self._selector(getattr(action, "to", None))
        yield from self._front_of(action)
        yield from self._waves(action)
        yield from self._making(action)
        yield from self._changing(action)

    @property
    def _given(self) -> frozenset[str]:
        """Keys the scenario writes."""
        return frozenset(self._order.entries[self._index].action[1].model_fields_set)

    def _making(self, action: Action) -> Iterator[Finding]:
        """Actions that make certificates."""
        if isinstance(action, IssueCa | CrossSign | IssueServerCertificate):
            yield from self._unnamed()
        match action:
            case IssueCa() if action.under is not None:
                yield from self._certificate("under", action.under, _ISSUERS)
            case CrossSign():
                yield from self._certificate("ca", action.ca, (Product.CA,))
                yield from self._certificate("by", action.by, (Product.CA,))
                if action.ca == action.by:
                    yield self._finding("by", "an authority is not crossed with itself")
            case IssueServerCertificate():
                yield from self._certificate("ca", action.ca, _ISSUERS)
            case RotateDeviceCertificates():
                yield from self._certificate("ca", action.ca, (Product.CA,))
                yield from self._high(action.to, "certificates")
            case _:
                return

    def _changing(self, action: Action) -> Iterator[Finding]:
        """Actions that change what there is."""
        match action:
            case SwapServerCertificate():
                yield from self._certificate(
                    "certificate", action.certificate, (Product.SERVER,)
                )
                for number, name in enumerate(action.also_send):
                    yield from self._certificate(("also_send", number), name, _ISSUERS)
            case PushBundle():
                yield from self._bundle(action)
            case PushConfig():
                yield from self._config(action)
            case RevokeDevices() | Unrevoke():
                yield from self._high(action.to, "revocable certificates")
            case ExpireCrl():
                yield from self._asks_for_certificates()
            case RotateCredentials():
                yield from self._credentials(action.to)
            case DnsChange():
                yield from self._dns(action)
            case Fault():
                yield from self._fault(action)
            case _:
                return

    # ------------------------------------------------------------ certificates

    def _unnamed(self) -> Iterator[Finding]:
        if self._order.entries[self._index].name is None:
            yield self._finding(
                (),
                "needs a name, by which others call what it makes",
                (*_TIMELINE, self._index, "name"),
            )

    def _certificate(
        self, key: str | tuple[str | int, ...], name: str, kinds: Sequence[Product]
    ) -> Iterator[Finding]:
        made = self._order.made.get(name)
        maker = self._order.by_name.get(name)
        depends: tuple[Loc, ...] = (_LAB, ("target",), ("calendar",))
        if maker is None:
            depends += self._order.name_places
        elif maker != self._index:
            depends += ((*_TIMELINE, maker),)
        if made is None:
            known = [n for n, m in self._order.made.items() if m.product in kinds]
            yield self._finding(
                key,
                f"there is no certificate {shown(name)}{did_you_mean(name, known)}; "
                f"known here are {', '.join(known) or 'none'}",
                *depends,
            )
        elif made.product not in kinds:
            wanted = " or ".join(kind.value for kind in kinds)
            yield self._finding(
                key, f"{name} is {made.product.value}, not {wanted}", *depends
            )
        elif made.index is not None and not self._order.is_before(
            made.index, self._index
        ):
            yield self._finding(
                key,
                f"{name} may not be there yet: let this come after {name}",
                *depends,
                *self._order.time_places(self._index),
            )

    # ------------------------------------------------------------ devices

    def _selector(self, selector: Selector | None) -> Iterator[Finding]:
        if selector is None:
            return
        names = [cohort.name for cohort in self._scenario.cohorts]
        for number, name in enumerate(selector.cohorts):
            if name not in names:
                yield self._finding(
                    ("to", "cohorts", number),
                    f"no cohort is named {shown(name)}{did_you_mean(name, names)}",
                    _COHORTS,
                )
        for key, given in (
            ("cohorts", selector.cohorts),
            ("devices", selector.devices),
        ):
            for number, name in enumerate(given):
                if name in given[:number]:
                    yield self._finding(("to", key, number), f"{name} is given twice")

    def _cohorts(self, selector: Selector) -> frozenset[str]:
        names = {cohort.name for cohort in self._scenario.cohorts}
        return frozenset(names & set(selector.cohorts) if selector.cohorts else names)

    def _high(self, selector: Selector, what: str) -> Iterator[Finding]:
        """Devices without certificates, unless the timeline gives them some."""
        scenario = self._scenario
        has = {
            cohort.name
            for cohort in scenario.cohorts
            if resolve.security_of(scenario, cohort) is Security.HIGH
        }
        for entry in scenario.timeline:
            if entry.push_config is not None and self._is_high(entry.push_config.front):
                has |= self._cohorts(entry.push_config.to)
        why = (
            f"has {what}: that takes security high, or a push_config to a front of "
            "security high"
        )
        depends: tuple[Loc, ...] = (
            _COHORTS,
            _LAB,
            *(
                (*_TIMELINE, number, "push_config")
                for number in range(len(self._order.entries))
            ),
        )
        for number, name in enumerate(selector.cohorts):
            if name in self._cohorts(selector) - has:
                yield self._finding(
                    ("to", "cohorts", number), f"no device of {name} {why}", *depends
                )
        if not selector.cohorts and not has:
            yield self._finding(
                "to" if "to" in self._given else (), f"no device {why}", *depends
            )

    def _is_high(self, name: str | None) -> bool:
        front = self._fronts.get(name or "")
        return front is not None and front.security is Security.HIGH

    def _asks_for_certificates(self) -> Iterator[Finding]:
        fronts = self._fronts.values()
        if fronts and all(front.security is not Security.HIGH for front in fronts):
            yield self._finding(
                (), "no front asks for certificates (security high)", _LAB
            )

    def _credentials(self, selector: Selector) -> Iterator[Finding]:
        if self._scenario.lab is None:
            return
        chosen = self._cohorts(selector)
        for cohort in self._scenario.cohorts:
            source = resolve.credentials_of(self._scenario, cohort)
            if cohort.name in chosen and not isinstance(source, LabCredentials):
                yield self._finding(
                    "to",
                    f"cohort {cohort.name} does not use the keys of the lab",
                    _COHORTS,
                )

    # ------------------------------------------------------------ fronts

    @property
    def _fronts(self) -> dict[str, FrontSpec]:
        lab = self._scenario.lab
        return {} if lab is None else {front.name: front for front in lab.fronts}

    def _front_of(self, action: Action) -> Iterator[Finding]:
        for key in ("front", "to_front"):
            name = getattr(action, key, None)
            if name is None or (self._scenario.lab is None and key == "to_front"):
                continue
            if self._scenario.lab is None:
                yield self._finding(
                    key,
                    "fronts belong to a lab; this scenario has a target",
                    _LAB,
                    ("target",),
                )
            elif name not in self._fronts:
                yield self._finding(
                    key,
                    f"the lab has no front {shown(name)}"
                    f"{did_you_mean(name, self._fronts)}; there are "
                    f"{', '.join(self._fronts)}",
                    _LAB,
                )
        if isinstance(action, SwapServerCertificate | SwapCiphers | SwapTlsVersions):
            yield from self._tls(action.front)

    def _tls(self, name: str | None) -> Iterator[Finding]:
        fronts = self._fronts
        if name is not None and name in fronts:
            if fronts[name].effective_tls is None:
                yield self._finding(
                    "front", f"front {name} is plain HTTP (security low)", _LAB
                )
        elif (
            name is None
            and fronts
            and not any(f.effective_tls for f in fronts.values())
        ):
            yield self._finding((), "no front of the lab speaks TLS", _LAB)

    def _dns(self, action: DnsChange) -> Iterator[Finding]:
        front = self._fronts.get(action.front)
        if front is not None and is_address(front.host):
            yield self._finding(
                "front",
                f"front {action.front} is reached by its address {front.host}: no name "
                "leads there that could change",
                _LAB,
            )
        if action.to_front == action.front and not self._changes_before(action.front):
            yield self._finding("to_front", "leads where it leads already", _TIMELINE)

    def _changes_before(self, front: str) -> bool:
        """Whether another entry lets the name of a front lead elsewhere."""
        return any(
            entry.dns_change is not None and entry.dns_change.front == front
            for number, entry in enumerate(self._scenario.timeline)
            if number != self._index
        )

    def _fault(self, action: Fault) -> Iterator[Finding]:
        kind = action.kind
        for key, is_needed, is_wanted in (
            ("delay", kind in _DELAYS, kind in _DELAYS),
            ("jitter", False, kind is FaultKind.DELAY),
            ("bytes_per_s", kind is FaultKind.THROTTLE, kind is FaultKind.THROTTLE),
            ("after_bytes", False, kind in _AFTER_BYTES),
        ):
            has = bool(getattr(action, key))
            if is_needed and not has:
                yield self._finding(key, f"kind {kind.value} needs {key}")
            if has and not is_wanted:
                yield self._finding(key, f"kind {kind.value} has no use for {key}")

    # ------------------------------------------------------------ over the air

    def _waves(self, action: Action) -> Iterator[Finding]:
        if getattr(action, "pause_when", None) and not getattr(action, "waves", None):
            yield self._finding("pause_when", "there is nothing to pause without waves")

    def _bundle(self, action: PushBundle) -> Iterator[Finding]:
        for number, name in enumerate(action.certificates):
            yield from self._certificate(("certificates", number), name, _ANY)
            if name in action.certificates[:number]:
                yield self._finding(("certificates", number), f"{name} is given twice")
        sources = [k for k in ("certificates", "file") if getattr(action, k)]
        if len(sources) > 1:
            yield self._finding("file", "give certificates or a file, not both")
        match action.fault:
            case BundleFault.EMPTY if sources:
                yield self._finding(
                    "fault", f"an empty bundle has no {sources[0]} in it"
                )
            case None | BundleFault.TRUNCATED if not sources:
                yield self._finding(
                    (),
                    "say what is in the bundle: certificates: [root, …], or file: PATH"
                    + ("" if action.fault else "; fault: empty clears all trust"),
                )
            case _:
                return

    def _config(self, action: PushConfig) -> Iterator[Finding]:
        if action.front is None and action.heartbeat is None and action.ota is None:
            yield self._finding((), "changes nothing: give front, heartbeat or ota")
        for key in ("heartbeat", "ota"):
            period = getattr(action, key)
            if period is not None and 0 < period < SHORTEST_PERIOD_S:
                yield self._finding(
                    key,
                    f"must be 0 (off) or at least {format_duration(SHORTEST_PERIOD_S)}",
                )

    def _finding(
        self, key: str | tuple[str | int, ...], what: str, *depends_on: Loc
    ) -> Finding:
        place = (key,) if isinstance(key, str) else key
        return Finding((*self._at, *place), what, depends_on)
