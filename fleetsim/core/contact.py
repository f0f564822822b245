"""Contact: is a device in touch with its server, as a state with a history.

Pure: :class:`Contact` is told what became of a device's *tries* and answers with the
:class:`Change` that follows, if any. A *try* is what a device does to get one job done
before it gives up for a while: all rungs of its cipher ladder count as one try, so that
climbing the ladder, which the device is made for, is not mistaken for trouble. Attempts
that the simulation itself broke off (power, end of the run, no port left) are no tries.

Transition table (state x what happened):

==========  ==================  ==================  =========  ========  =========
state       success             in trouble          proof      no proof  power off
==========  ==================  ==================  =========  ========  =========
UNREACHED   CONNECTED           (stays)             STRANDED   (stays)   ASLEEP
CONNECTED   DEGRADED if worse   FAILING             ·          ·         ASLEEP
DEGRADED    CONNECTED if well   FAILING             ·          ·         ASLEEP
FAILING     RECOVERED           (stays)             STRANDED   (stays)   ASLEEP
STRANDED    RECOVERED           (stays)             (stays)    FAILING¹  ASLEEP
RECOVERED   CONNECTED or        FAILING             ·          ·         ASLEEP
            DEGRADED²
ASLEEP      ·                   ·                   ·          ·         ·
==========  ==================  ==================  =========  ========  =========

| ¹ UNREACHED when it never had a success.
| ² After one whole contact period without a failed try.

Power on leads from ASLEEP back to the state before: until it has tried, nothing is
known that was not known when it fell asleep.

Definitions, each with its reason:

* *Contact period*: the shortest of the device's own rhythms (file, device.json,
  over-the-air check), but not less than its first wait before a repetition. One
  failure that the first repetition mends is then never more than one.
* *In trouble*: three tries in a row failed (:data:`TRIES`; one is noise, two may be one
  restart of a server), or at least one failed and there was no success for three
  contact periods (:data:`SILENT_PERIODS`; long waits between tries must not hide that
  nothing arrives).
* *Degraded*, fell back: the connection of the last success used a later cipher group
  than the first one that ever worked, or than an earlier one that worked since. A
  fleet whose server only knows the last group is well there.
* *Degraded*, backlog: at two uploads in a row the file was late by more than a file
  period, and later each time. So at least two files are overdue and their number grows.
  It ends when a file goes out less than a period late.
* *Stranded*: only by proof. Whoever proves it gives the reason; a timeout is never one.
  Only devices in trouble are examined.
* *Recovered*: had been failing or stranded and then had a success.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from fleetsim.core.failure import Failure, Kind
from fleetsim.core.settings import RetryPolicy, Workload

TRIES: Final = 3
SILENT_PERIODS: Final = 3
LATE_UPLOADS: Final = 2
_NS_PER_S: Final = 1_000_000_000

_NO_TRY: Final = frozenset(
    {
        Kind.RUN_STOPPED,
        Kind.DEVICE_POWER_CYCLE,
        Kind.TCP_LOCAL_PORTS,
        Kind.TCP_LOCAL_FILES,
    }
)


@unique
class ContactState(StrEnum):
    """Whether a device is in touch. Values are written to results: never rename one."""

    UNREACHED = "unreached"  # never had a success
    CONNECTED = "connected"
    DEGRADED = "degraded"  # fell back, or the backlog grows
    FAILING = "failing"
    STRANDED = "stranded"  # proved: no way back without a visit to its card
    RECOVERED = "recovered"  # was failing or stranded, is back since a moment
    ASLEEP = "asleep"  # switched off


# Nearly every success finds this state: an attribute of the class costs ten times more.
_CONNECTED: Final = ContactState.CONNECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step in the history of a device.

    Attributes:
        at_ns: Run time.
        was: State before, ``None`` = it begins here.
        now: State from then on.
        reason: Why, in words that repeat from device to device.
    """

    at_ns: int
    was: ContactState | None
    now: ContactState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRules:
    """What is usual for the devices of a cohort.

    Attributes:
        period_ns: Contact period, > 0.
        file_period_ns: Time between two files, 0 = it logs nothing.
    """

    period_ns: int
    file_period_ns: int


def contact_rules(work: Workload, retry: RetryPolicy) -> ContactRules:
    """Work out the rules of a cohort from its rhythms."""
    rhythms = (work.period_s, work.heartbeat_s, work.ota_s)
    shortest_s = min((rhythm for rhythm in rhythms if rhythm), default=0.0)
    return ContactRules(
        period_ns=max(1, int(max(shortest_s, retry.first_s) * _NS_PER_S)),
        file_period_ns=int(work.period_s * _NS_PER_S),
    )


def is_try(failure: Failure) -> bool:
    """Tell whether a failed attempt says something about the contact at all."""
    return failure.kind not in _NO_TRY


class Contact:
    """The contact of one device. Small: a fleet has 100,000 of them.

    Attributes:
        state: State now.
        since_ns: Run time of the last change.
        failed_tries: Failed tries since the last success (or since it was woken).
        was_reached: Whether there ever was a success.
    """

    __slots__ = (
        "_before_sleep",
        "_group",
        "_late_ns",
        "_late_uploads",
        "_quiet_since_ns",
        "_trouble_ns",
        "failed_tries",
        "since_ns",
        "state",
        "was_reached",
    )

    def __init__(self) -> None:
        self.state = ContactState.UNREACHED
        self.since_ns = 0
        self.failed_tries = 0
        self.was_reached = False
        self._before_sleep = ContactState.UNREACHED
        self._group = -1
        self._late_ns = 0
        self._late_uploads = 0
        self._quiet_since_ns = 0
        self._trouble_ns = 0

    # ------------------------------------------------------------ what happened

    def uploaded(self, rules: ContactRules, late_ns: int) -> None:
        """An attempt to upload a file ended, well or badly; call before its verdict.

        Args:
            rules: Rules of the cohort.
            late_ns: Time since the upload was due.
        """
        if late_ns < rules.file_period_ns or late_ns <= self._late_ns:
            self._late_uploads = 0
        else:
            self._late_uploads += 1
        self._late_ns = late_ns

    def succeeded(
        self, rules: ContactRules, now_ns: int, *, group: int
    ) -> Change | None:
        """A try succeeded.

        Args:
            rules: Rules of the cohort.
            now_ns: Run time.
            group: Position on the cipher ladder of the connection it used.
        """
        self._quiet_since_ns = now_ns
        self.failed_tries = 0
        self.was_reached = True
        if self._group < 0 or group < self._group:
            self._group = group
        if (
            self.state is _CONNECTED
            and group == self._group
            and self._late_uploads < LATE_UPLOADS
        ):
            return None
        match self.state:
            case ContactState.FAILING | ContactState.STRANDED:
                self._trouble_ns = now_ns
                return self._become(
                    ContactState.RECOVERED, now_ns, f"success after {self.state.value}"
                )
            case ContactState.RECOVERED if now_ns - self._trouble_ns < rules.period_ns:
                return None
            case ContactState.ASLEEP:
                return None
            case _:
                return self._judge(rules, now_ns, group)

    def _judge(self, rules: ContactRules, now_ns: int, group: int) -> Change | None:
        if group > self._group:
            return self._become(
                ContactState.DEGRADED,
                now_ns,
                f"fell back from group {self._group + 1} to group {group + 1}",
            )
        is_late = (
            self.state is ContactState.DEGRADED
            and self._late_ns >= rules.file_period_ns
        )
        if self._late_uploads >= LATE_UPLOADS or (is_late and rules.file_period_ns):
            return self._become(
                ContactState.DEGRADED, now_ns, "two files or more are late, and growing"
            )
        return self._become(
            ContactState.CONNECTED,
            now_ns,
            "first success"
            if self.state is ContactState.UNREACHED
            else "in time and in its usual group",
        )

    def failed(
        self, rules: ContactRules, now_ns: int, failure: Failure
    ) -> Change | None:
        """A try failed.

        Args:
            rules: Rules of the cohort.
            now_ns: Run time.
            failure: Why its last attempt failed.
        """
        self.failed_tries += 1
        self._trouble_ns = now_ns
        if self.failed_tries >= TRIES:
            return self._fail(
                now_ns, f"{TRIES} tries in a row failed, the last: {failure.kind}"
            )
        if self._late_uploads >= LATE_UPLOADS and self.state in {
            ContactState.CONNECTED,
            ContactState.RECOVERED,
        }:
            return self._become(
                ContactState.DEGRADED, now_ns, "two files or more are late, and growing"
            )
        return self.examined(rules, now_ns)

    def powered_off(self, now_ns: int) -> Change | None:
        """The device was switched off."""
        if self.state is ContactState.ASLEEP:
            return None
        self._before_sleep = self.state
        return self._become(ContactState.ASLEEP, now_ns, "switched off")

    def powered_on(self, now_ns: int) -> Change | None:
        """The device was switched on: silence counts from here."""
        self._quiet_since_ns = self._trouble_ns = now_ns
        self.failed_tries = 0
        self._late_ns = self._late_uploads = 0
        if self.state is not ContactState.ASLEEP:
            return None
        return self._become(self._before_sleep, now_ns, "switched on")

    # ------------------------------------------------------------ examination

    def is_in_trouble(self, rules: ContactRules, now_ns: int) -> bool:
        """Tell whether a proof is due: see the definitions above."""
        match self.state:
            case ContactState.FAILING | ContactState.STRANDED:
                return True
            case ContactState.ASLEEP:
                return False
            case _:
                return self.failed_tries >= TRIES or self._is_silent(rules, now_ns)

    def examined(self, rules: ContactRules, now_ns: int) -> Change | None:
        """Time went by without a success."""
        if self.failed_tries < TRIES and self._is_silent(rules, now_ns):
            return self._fail(
                now_ns,
                f"no success for {SILENT_PERIODS} contact periods of "
                f"{rules.period_ns / _NS_PER_S:g} s",
            )
        return None

    def judged(self, proof: str | None, now_ns: int) -> Change | None:
        """Somebody tried to prove that the device, which is in trouble, is stranded.

        Args:
            proof: Why it cannot come back by itself; ``None`` = there is no proof.
            now_ns: Run time.
        """
        if proof is not None:
            return self._become(ContactState.STRANDED, now_ns, proof)
        if self.state is not ContactState.STRANDED:
            return None
        return self._become(
            ContactState.FAILING if self.was_reached else ContactState.UNREACHED,
            now_ns,
            "there is a way back again",
        )

    def _is_silent(self, rules: ContactRules, now_ns: int) -> bool:
        return (
            self.failed_tries > 0
            and now_ns - self._quiet_since_ns >= SILENT_PERIODS * rules.period_ns
        )

    def _fail(self, now_ns: int, reason: str) -> Change | None:
        match self.state:
            case (
                ContactState.CONNECTED | ContactState.DEGRADED | ContactState.RECOVERED
            ):
                return self._become(ContactState.FAILING, now_ns, reason)
            case _:
                return None

    def _become(self, state: ContactState, now_ns: int, reason: str) -> Change | None:
        if state is self.state:
            return None
        change = Change(at_ns=now_ns, was=self.state, now=state, reason=reason)
        self.state = state
        self.since_ns = now_ns
        return change
