"""Headline: the verdict of a run in one sentence, for people who read only that.

Made from ``summary.json`` alone, so that every report says the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fleetsim.report.plain import number, shown_time

_WORDS: Final = {
    "passed": "Passed",
    "failed": "Failed",
    "invalid": "Invalid",
    "interrupted": "Interrupted",
}


def verdict_word(summary: Mapping[str, Any]) -> str:
    """Give the verdict as a word or two, with what the scenario expected."""
    word = _WORDS[summary["verdict"]]
    if summary.get("expect") != "fail":
        return word
    match summary["verdict"]:
        case "failed" if summary["as_expected"]:
            return "Failed as expected"
        case "failed":
            return "Failed, but not by the damage it shows"
        case "passed":
            return "Passed, but was expected to fail"
        case _:
            return word


def is_good(summary: Mapping[str, Any]) -> bool | None:
    """Whether the run ended as its scenario expects; ``None`` = cannot be told."""
    if summary["verdict"] in {"interrupted", "invalid"}:
        return None
    return bool(summary["as_expected"])


def headline(summary: Mapping[str, Any]) -> str:
    """Tell in one sentence what became of the fleet, and why the verdict is what it is.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it.
    """
    match summary["verdict"]:
        case "interrupted":
            told = (
                f"The run ended after {_span(summary['seconds'])}, before its time; "
                f"up to there {_delivered(summary)}"
            )
        case "invalid" if (summary["generator"] or {}).get("devices_lost"):
            lost = number(summary["generator"]["devices_lost"], "device")
            told = (
                f"{lost} went down with a process of the generator: what ran is a "
                f"smaller fleet than was planned; {_delivered(summary)}"
            )
        case "invalid":
            told = (
                "The load generator was saturated, so the times it measured describe "
                f"itself and not the target; {_delivered(summary)}"
            )
        case "passed":
            told = _passed(summary)
        case _:
            told = f"{_sentence(list(_reasons(summary)))}; {_delivered(summary)}"
    return told[0].upper() + told[1:] + "."


def _passed(summary: Mapping[str, Any]) -> str:
    thresholds = len(summary["thresholds"])
    kept = (
        f"kept {'its one threshold' if thresholds == 1 else f'all {thresholds} thresholds'}"
        if thresholds
        else "had no thresholds to keep"
    )
    return f"{_fleet(summary)} {kept}: {_delivered(summary)}{_in_time(summary)}"


def _fleet(summary: Mapping[str, Any]) -> str:
    return f"the fleet of {number(summary['devices']['total'], 'device')}"


def _delivered(summary: Mapping[str, Any]) -> str:
    uploads, audit = summary["uploads"], summary["audit"]
    told = f"{number(uploads['acknowledged'], 'upload')} acknowledged"
    if audit is None or not audit["checked"]:
        return f"{told}, the bucket was not compared with them"
    if uploads["unaccounted"]:
        return f"{told}, but {uploads['stored']:,} found in the bucket"
    return f"{told} and every one found in the bucket"


def _in_time(summary: Mapping[str, Any]) -> str:
    p99_ms = summary["latency"]["response"]["p99_ms"]
    if p99_ms is None:
        return ""
    return f", 99 % of them within {shown_time(p99_ms)} of their planned time"


def _reasons(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the verdict ``failed`` rests on, the gravest first."""
    if summary["outcome"] == "error":
        yield f"the run ended with an error of its own: {summary['detail'] or 'unknown'}"
    audit = summary["audit"]
    if audit is not None and audit["failed"]:
        yield "the bucket could not be compared with what the devices were told"
    elif summary["uploads"]["unaccounted"]:
        unaccounted = number(summary["uploads"]["unaccounted"], "object")
        yield f"{unaccounted} in the bucket differ from what the devices were told"
    if summary["unclassified"]:
        yield f"{number(summary['unclassified'], 'failure')} had no kind (a bug)"
    yield from _stranded(summary)
    yield from _thresholds(summary["thresholds"])
    timeline = _timeline(summary)
    lost = (timeline.get("failed") or 0) + (timeline.get("skipped") or 0)
    if lost:
        of = number(lost, "step")
        yield f"{of} of the timeline could not be carried out"
    if timeline.get("aborted"):
        yield f"it was ended early: {timeline['aborted']}"


def _thresholds(thresholds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    total = number(len(thresholds), "threshold")
    broken = [each["expression"] for each in thresholds if not each["ok"]]
    if broken:
        does = "does" if len(broken) == 1 else "do"
        yield f"{len(broken)} of {total} {does} not hold ({broken[0]})"
    kept = [
        each["expression"]
        for each in thresholds
        if each["ok"] and each.get("expect") == "fail"
    ]
    if kept:
        yield f"{len(kept)} of {total} hold that must not ({kept[0]})"


def _stranded(summary: Mapping[str, Any]) -> Iterator[str]:
    stranded = (summary.get("rehearsal") or {}).get("stranded")
    if not stranded or not stranded["count"]:
        return
    of = f"of {number(summary['devices']['total'], 'device')}"
    does = "is" if stranded["count"] == 1 else "are"
    # a proof goes on with what the server sent: its first clause names the cause
    proofs = stranded["reasons"]
    why = proofs[0]["reason"].partition(";")[0].rstrip(".") if proofs else ""
    proof = f" ({why})" if why else ""
    yield f"{stranded['count']:,} {of} {does} stranded{proof}"


def _timeline(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    timeline: Mapping[str, Any] | None = (summary.get("rehearsal") or {}).get(
        "timeline"
    )
    return timeline or {}


def _sentence(parts: list[str]) -> str:
    if not parts:
        return "the run did not end as its scenario expects"
    return ", and ".join(parts[:3])


def _span(seconds: float) -> str:
    return shown_time(seconds * 1000)
