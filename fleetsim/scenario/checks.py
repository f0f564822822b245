"""Checks: rules between the fields of a scenario, and between it and the profiles.

Field rules are in the schema. A finding names every place it depends on: when one of
them is unreadable anyway, the finding would only repeat that and is left out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from fleetsim.core.settings import DeviceProfile, Phasing, Security
from fleetsim.scenario import resolve
from fleetsim.scenario.cohort_schema import MAX_DEVICES, CohortSpec
from fleetsim.scenario.finding import Finding
from fleetsim.scenario.probability import Empirical, Fixed, Uniform
from fleetsim.scenario.quantities import approximate_size, format_duration, shown
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.sdk_checks import check_sdk
from fleetsim.scenario.sdk_schema import Client
from fleetsim.scenario.shortening import SHORTEST_PERIOD_S, shortening_problems
from fleetsim.scenario.specs import Anchor, LabCredentials, LabTrust
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.target_schema import FrontSpec, is_address
from fleetsim.scenario.timeline_checks import check_timeline
from fleetsim.scenario.yaml_document import Loc

MAX_PUT_BYTES: Final = 5 * 1024**3
"""Largest object of a single PUT (AWS: PutObject)."""
RESERVED_PREFIX: Final = "fleetsim-"


def check(
    scenario: Scenario,
    profiles: Mapping[str, DeviceProfile],
    *,
    allow_commands: bool = True,
) -> tuple[Finding, ...]:
    """Find everything that does not fit together.

    Args:
        scenario: A scenario whose fields are each right by themselves.
        profiles: Profiles by the name the cohorts use; one that is missing has been
            reported already.
        allow_commands: Whether the operator lets the timeline run programs.
    """
    found = [*_whole(scenario), *_fronts(scenario), *_thresholds(scenario)]
    found += check_timeline(scenario, allow_commands=allow_commands)
    found += _shortening(scenario, profiles)
    for index, cohort in enumerate(scenario.cohorts):
        at: Loc = ("cohorts", index)
        found += _cohort(scenario, cohort, at)
        found += _network(scenario, cohort, at)
        found += _identity(scenario, cohort, at)
        found += check_sdk(scenario, cohort, at)
        if cohort.profile in profiles:
            found += _profile(scenario, cohort, at, profiles[cohort.profile])
    return tuple(found)


def _whole(scenario: Scenario) -> Iterator[Finding]:
    if (scenario.lab is None) == (scenario.target is None):
        given = "both are" if scenario.lab else "neither is"
        yield Finding(
            (),
            "give exactly one of 'lab' (the embedded server) and 'target' (a real "
            f"endpoint); {given} given",
            needs=(("lab",), ("target",)),
        )
    if scenario.warm_up >= scenario.duration:
        yield Finding(
            ("warm_up",),
            f"a warm-up of {format_duration(scenario.warm_up)} leaves nothing of the "
            f"duration of {format_duration(scenario.duration)}",
            (("duration",),),
        )
    total = sum(cohort.count for cohort in scenario.cohorts)
    if total > MAX_DEVICES:
        yield Finding(
            ("cohorts",),
            f"{total:,} devices in all; at most {MAX_DEVICES:,} are allowed",
        )
    yield from _repeated("cohort", ("cohorts",), [c.name for c in scenario.cohorts])

    for index, threshold in enumerate(scenario.thresholds):
        if threshold.is_damage and scenario.expect != "fail":
            yield Finding(
                ("thresholds", index),
                "a threshold that must fail makes the run fail: write expect: fail for "
                "the scenario too",
                (("expect",),),
            )
    if scenario.expect == "fail" and not scenario.thresholds:
        yield Finding(
            ("expect",),
            "without thresholds nothing can fail: say what damage is expected",
            (("thresholds",),),
        )
    if scenario.calendar is not None and scenario.target is not None:
        yield Finding(
            ("calendar",),
            "a real endpoint keeps its own time: a calendar needs the lab",
            (("target",),),
        )


def _shortening(
    scenario: Scenario, profiles: Mapping[str, DeviceProfile]
) -> Iterator[Finding]:
    for problem in shortening_problems(scenario, profiles):
        yield Finding(("shorten_by",), problem, (("cohorts",), ("lab",), ("timeline",)))


def _fronts(scenario: Scenario) -> Iterator[Finding]:
    if scenario.lab is None:
        return
    store = scenario.lab.store
    if store.folder is not None and not store.keep_bodies:
        yield Finding(
            ("lab", "store", "keep_bodies"),
            "a folder keeps whole objects: leave folder out, or keep_bodies",
            (("lab", "store", "folder"),),
        )
    at: Loc = ("lab", "fronts")
    yield from _repeated("front", at, [front.name for front in scenario.lab.fronts])
    ports = [front.port for front in scenario.lab.fronts]
    for index, front in enumerate(scenario.lab.fronts):
        if front.name.startswith(RESERVED_PREFIX):
            yield Finding(
                (*at, index, "name"),
                f"names that start with {RESERVED_PREFIX!r} are kept for the lab itself",
            )
        if front.security is Security.LOW and front.tls is not None:
            yield Finding(
                (*at, index, "tls"),
                "security low is plain HTTP: leave tls out, or write medium or high",
                ((*at, index, "security"),),
            )
        if front.port and front.port in ports[:index]:
            yield Finding(
                (*at, index, "port"), f"port {front.port} is taken by another front"
            )


def _repeated(kind: str, at: Loc, names: Sequence[str]) -> Iterator[Finding]:
    counts = Counter(names)
    for index, name in enumerate(names):
        if counts[name] > 1 and name in names[:index]:
            yield Finding(
                (*at, index, "name"), f"another {kind} is named {shown(name)} already"
            )


def _thresholds(scenario: Scenario) -> Iterator[Finding]:
    names = [cohort.name for cohort in scenario.cohorts]
    for index, threshold in enumerate(scenario.thresholds):
        wanted = dict(threshold.labels).get("cohort")
        if wanted is not None and wanted not in names:
            yield Finding(
                ("thresholds", index),
                f"no cohort is named {shown(wanted)}{did_you_mean(wanted, names)}",
                (("cohorts",),),
            )


def _cohort(scenario: Scenario, cohort: CohortSpec, at: Loc) -> Iterator[Finding]:
    start = cohort.start_up
    if start.phase is Phasing.HERD and start.over is not None:
        yield Finding(
            (*at, "start_up", "over"),
            "a herd starts all at once: leave `over` out, or write phase: spread",
            ((*at, "start_up", "phase"),),
        )
    elif resolve.start_over_s(scenario, cohort) >= scenario.duration:
        yield Finding(
            (*at, "start_up", "over"),
            f"devices would still start when the load ends after "
            f"{format_duration(scenario.duration)}",
            (("duration",),),
        )
    for key, period in (
        (("workload", "period"), cohort.workload.period),
        (("heartbeat",), cohort.heartbeat),
        (("ota",), cohort.ota),
    ):
        if period is not None and 0 < period < SHORTEST_PERIOD_S:
            yield Finding(
                (*at, *key),
                f"must be 0 (off) or at least {format_duration(SHORTEST_PERIOD_S)}",
            )
    size = cohort.workload.file_size
    has_exact_end = isinstance(size, Fixed | Uniform | Empirical)
    largest = size.highest if has_exact_end else size.mean()
    if largest > MAX_PUT_BYTES and cohort.client is not Client.SDK:
        yield Finding(
            (*at, "workload", "file_size"),
            f"files of {approximate_size(largest)} do not fit into one PUT, which takes "
            f"at most {approximate_size(MAX_PUT_BYTES)}",
        )


def _network(scenario: Scenario, cohort: CohortSpec, at: Loc) -> Iterator[Finding]:
    if scenario.lab is None:
        if cohort.front is not None:
            yield Finding(
                (*at, "front"),
                "fronts belong to a lab; this scenario has a target",
                needs=(("lab",), ("target",)),
            )
    elif resolve.front_of(scenario, cohort) is None:
        names = [front.name for front in scenario.lab.fronts]
        wanted = cohort.front or ""
        yield Finding(
            (*at, "front"),
            f"the lab has no front {shown(wanted)}{did_you_mean(wanted, names)}; there "
            f"are {', '.join(names)}",
            tuple(("lab", "fronts", n, "name") for n in range(len(names))),
        )
    if cohort.security is None:
        return
    is_low = cohort.security is Security.LOW
    front = resolve.front_of(scenario, cohort)
    if front is not None and is_low != (front.security is Security.LOW):
        yield Finding(
            (*at, "security"),
            f"security {cohort.security.value} speaks {_scheme(cohort.security)} but "
            f"front {front.name} speaks {_scheme(front.security)}",
            ((*at, "front"), ("lab",)),
        )
    scheme = scenario.target.scheme if scenario.target else None
    if scheme is not None and (scheme == "http") != is_low:
        yield Finding(
            (*at, "security"),
            f"security {cohort.security.value} speaks {_scheme(cohort.security)} but "
            f"the endpoint is {scheme}",
            (("target",),),
        )


def _scheme(security: Security) -> str:
    return "http" if security is Security.LOW else "https"


def _identity(scenario: Scenario, cohort: CohortSpec, at: Loc) -> Iterator[Finding]:
    """Trust, credentials and client certificates."""
    sources = (("lab",), ("target",))
    security = resolve.security_of(scenario, cohort)
    trust = resolve.trust_of(scenario, cohort)
    if scenario.lab is None and scenario.target is not None:
        if isinstance(trust, LabTrust):
            yield Finding(
                (*at, "trust"),
                "there is no lab to trust: write {file: path/to/certs_server.p7b}",
                sources,
            )
        if trust is None:
            yield Finding(
                (*at, "trust"),
                "say what the devices trust: {file: path/to/certs_server.p7b}, empty, "
                "or target.ca_file for all cohorts",
                (*sources, (*at, "security")),
            )
        if isinstance(cohort.credentials, LabCredentials):
            yield Finding(
                (*at, "credentials"),
                "there is no lab to make credentials: write env or {profile: name}",
                sources,
            )
    front = resolve.front_of(scenario, cohort)
    if isinstance(trust, LabTrust) and front is not None:
        yield from _anchor(trust.anchor, front, at)
    yield from _client_certificates(scenario, cohort, at, security)


def _anchor(anchor: Anchor, front: FrontSpec, at: Loc) -> Iterator[Finding]:
    tls = front.effective_tls
    if anchor is Anchor.INTERMEDIATE and tls and not tls.certificate.intermediate:
        yield Finding(
            (*at, "trust"),
            f"front {front.name} has no intermediate certificate to trust",
            (("lab",), (*at, "front")),
        )


def _client_certificates(
    scenario: Scenario, cohort: CohortSpec, at: Loc, security: Security
) -> Iterator[Finding]:
    given = cohort.client_certificates
    depends = ((*at, "security"), (*at, "front"), ("lab",), ("target",))
    if security is not Security.HIGH:
        if given is not None:
            yield Finding(
                (*at, "client_certificates"),
                f"only security high uses client certificates, not {security.value}",
                depends,
            )
    elif scenario.target is not None and (given is None or given.pki is None):
        yield Finding(
            (*at, "client_certificates"),
            "security high with a target needs client_certificates: {pki: DIR}, a "
            "folder made by `fleetsim pki init` whose CA the server trusts",
            depends,
        )
    elif scenario.lab is not None and given is not None and given.pki is not None:
        yield Finding(
            (*at, "client_certificates", "pki"),
            "the lab makes its own PKI: leave `pki` out",
            depends,
        )


def _profile(
    scenario: Scenario, cohort: CohortSpec, at: Loc, loaded: DeviceProfile
) -> Iterator[Finding]:
    profile = resolve.profile_of(scenario, cohort, loaded)
    depends = ((*at, "profile"),)
    if resolve.cipher_table_of(cohort, profile) is None:
        names = [table.name for table in profile.cipher_tables]
        wanted = cohort.cipher_table or ""
        yield Finding(
            (*at, "cipher_table"),
            f"profile {profile.name} has no cipher table {shown(wanted)}"
            f"{did_you_mean(wanted, names)}; there are {', '.join(names)}",
            depends,
        )
    if profile.tls.min_version > profile.tls.max_version:
        yield Finding(
            (*at, "overrides", "tls"),
            f"min_version {profile.tls.min_version} is above max_version "
            f"{profile.tls.max_version}",
            depends,
        )
    if profile.retry.first_s > profile.retry.max_s:
        yield Finding(
            (*at, "overrides", "retry"),
            f"the first wait of {format_duration(profile.retry.first_s)} is longer than "
            f"the longest of {format_duration(profile.retry.max_s)}",
            depends,
        )
    host = resolve.endpoint_host(scenario, cohort)
    if resolve.is_virtual(profile) and host is not None and is_address(host):
        yield Finding(
            (*at, "overrides", "style"),
            f"the endpoint is an address ({host}): a bucket cannot be put before it, "
            "use style path",
            (*depends, ("lab",), ("target",)),
        )
