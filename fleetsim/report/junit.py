"""JUnit XML: the verdict as a CI panel shows it, one test case for each thing judged.

Cases: every threshold, every step of the timeline, the truth check, failures without a
kind, the load generator, and the verdict itself. A case fails where it made the run end
otherwise than its scenario expects; damage that the scenario shows on purpose is passed.
The last case fails exactly when ``fleetsim report`` ends with an exit code other than 0.

The attributes are those that Jenkins, GitLab and GitHub actions read ("JUnit XML format",
testmoapp/junitxml).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from fleetsim.report.headline import headline, verdict_word
from fleetsim.report.html.tables import measured_value
from fleetsim.report.summary import exit_code

# XML 1.0 section 2.2: these are no characters, not even escaped
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SUITE: Final = "fleetsim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing judged.

    Attributes:
        group: Kind of thing.
        name: What.
        told: What was found.
        failed: Whether it failed.
        skipped: Whether it could not be judged.
    """

    group: str
    name: str
    told: str = ""
    failed: bool = False
    skipped: bool = False


def render_junit(summary: Mapping[str, Any]) -> str:
    """Write the verdict of a run as JUnit XML.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it.
    """
    cases = tuple(cases_of(summary))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.failed for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.skipped for case in cases)),
        "time": f"{summary['seconds']:.3f}",
    }
    root = ET.Element("testsuites", {"name": _SUITE, **counts})
    suite = ET.SubElement(
        root, "testsuite", {"name": _clean(summary["scenario"]), **counts}
    )
    if summary["started"]:
        suite.set("timestamp", str(summary["started"]).rstrip("Z"))
    properties = ET.SubElement(suite, "properties")
    for name in ("run", "seed", "verdict"):
        ET.SubElement(
            properties, "property", {"name": name, "value": _clean(summary[name])}
        )
    for case in cases:
        _add(suite, case, _clean(summary["scenario"]))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def cases_of(summary: Mapping[str, Any]) -> Iterator[Case]:
    """What is judged, in the order of the report."""
    is_shown = summary.get("expect") == "fail" and summary["as_expected"]
    has_marks = any(each.get("expect") == "fail" for each in summary["thresholds"])
    for each in summary["thresholds"]:
        yield _threshold(summary, each, is_excused=is_shown and not has_marks)
    timeline = (summary.get("rehearsal") or {}).get("timeline") or {}
    for entry in timeline.get("entries", ()):
        yield Case(
            group="timeline",
            name=f"{entry['action']} {entry['name']}".rstrip(),
            told=": ".join(filter(None, (entry["outcome"], entry["reason"]))),
            failed=entry["outcome"] != "done" and not is_shown,
        )
    audit = summary["audit"]
    is_checked = audit is not None and audit["checked"]
    yield Case(
        group="checks",
        name="every acknowledged upload is in the bucket",
        told=f"{summary['uploads']['unaccounted']} unaccounted"
        if is_checked
        else (audit or {}).get("reason") or "the bucket was not compared",
        failed=bool(summary["uploads"]["unaccounted"])
        or bool(audit is not None and audit["failed"]),
        skipped=not is_checked and not (audit is not None and audit["failed"]),
    )
    yield Case(
        group="checks",
        name="every failure has a kind",
        told=f"{summary['unclassified']} without",
        failed=summary["unclassified"] > 0,
    )
    yield _generator(summary)
    yield Case(
        group="verdict",
        name=verdict_word(summary),
        told=headline(summary),
        failed=exit_code(dict(summary)) not in {0, 130},
        skipped=summary["verdict"] == "interrupted",
    )


def _threshold(
    summary: Mapping[str, Any], each: Mapping[str, Any], *, is_excused: bool
) -> Case:
    measured = each["reason"] if each["value"] is None else measured_value(each)
    is_damage = each.get("expect") == "fail"
    invalid = summary["verdict"] == "invalid" and each["unit"] == "duration"
    return Case(
        group="thresholds",
        name=each["expression"],
        told=f"measured {measured}"
        + (" (the scenario shows this damage)" if is_damage else "")
        + (" by a saturated generator" if invalid else ""),
        failed=each["ok"] is is_damage and not is_excused and not invalid,
        skipped=invalid,
    )


def _generator(summary: Mapping[str, Any]) -> Case:
    health = summary["generator"]
    name = "the load generator was not the limit"
    if health is None:
        return Case(
            group="checks", name=name, told="it never judged itself", skipped=True
        )
    count = health.get("devices_lost", 0)
    lost = (f"{count:,} devices lost with their process",) if count else ()
    return Case(
        group="checks",
        name=name,
        told="; ".join((*lost, *health["reasons"]))
        or f"{health['cpu_ratio']:.0%} of one core",
        failed=summary["verdict"] == "invalid",
    )


def _add(suite: ET.Element, case: Case, scenario: str) -> None:
    made = ET.SubElement(
        suite,
        "testcase",
        {"classname": f"{scenario}.{case.group}", "name": _clean(case.name)},
    )
    told = _clean(case.told)
    if case.failed:
        ET.SubElement(made, "failure", {"message": told}).text = told
    elif case.skipped:
        ET.SubElement(made, "skipped", {"message": told})
    elif told:
        ET.SubElement(made, "system-out").text = told


def _clean(value: object) -> str:
    return _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", str(value))
