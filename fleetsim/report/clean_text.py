"""Words for what a clean-up did."""

from collections.abc import Iterator

from fleetsim.core.outcomes import CleanOutcome
from fleetsim.scenario.quantities import approximate_size


def clean_lines(outcome: CleanOutcome) -> Iterator[str]:
    """Tell what was deleted, and after that only what is out of the ordinary."""
    verb = "would delete" if outcome.dry_run else "deleted"
    size = approximate_size(outcome.deleted_bytes)
    yield f"{verb} {_count(outcome.deleted_count, 'object')} of this run, {size}"
    if outcome.aborted_count:
        verb = "would give up" if outcome.dry_run else "gave up"
        yield f"{verb} {_count(outcome.aborted_count, 'unfinished multipart upload')}"
    if outcome.absent_count:
        yield f"not in the bucket any more: {_count(outcome.absent_count, 'object')}"
    if outcome.kept_count:
        yield (
            f"kept {_count(outcome.kept_count, 'object')} that somebody else has stored "
            f"at a key of this run, for example {outcome.kept[0]}"
        )
    if outcome.refused_count:
        yield (
            f"the target did not delete {_count(outcome.refused_count, 'object')}, "
            f"for example {outcome.refused[0]}"
        )
    if outcome.versioned:
        yield "the bucket keeps versions: the deleted objects are still there as such"
    if outcome.failed:
        yield f"stopped before the end: {outcome.reason}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
