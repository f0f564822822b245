"""One line for what was deleted, further ones only for what is out of the ordinary."""

import pytest

from fleetsim.core.outcomes import CleanOutcome
from fleetsim.report.clean_text import clean_lines


@pytest.mark.parametrize(
    ("outcome", "lines"),
    [
        (CleanOutcome(), ["deleted 0 objects of this run, 0 B"]),
        (
            CleanOutcome(deleted_count=1, deleted_bytes=4096, aborted_count=2),
            [
                "deleted 1 object of this run, 4 KiB",
                "gave up 2 unfinished multipart uploads",
            ],
        ),
        (
            CleanOutcome(dry_run=True, deleted_count=1234, aborted_count=1),
            [
                "would delete 1,234 objects of this run, 0 B",
                "would give up 1 unfinished multipart upload",
            ],
        ),
        (
            CleanOutcome(
                absent_count=1,
                kept=("k",),
                kept_count=2,
                refused=("r: AccessDenied",),
                refused_count=3,
                versioned=True,
                failed=True,
                reason="gone",
            ),
            [
                "deleted 0 objects of this run, 0 B",
                "not in the bucket any more: 1 object",
                (
                    "kept 2 objects that somebody else has stored at a key of this run, "
                    "for example k"
                ),
                "the target did not delete 3 objects, for example r: AccessDenied",
                "the bucket keeps versions: the deleted objects are still there as such",
                "stopped before the end: gone",
            ],
        ),
    ],
    ids=["nothing", "the rule", "dry run", "everything"],
)
def test_words(outcome: CleanOutcome, lines: list[str]) -> None:
    """Counts are written out, with an example each."""
    assert list(clean_lines(outcome)) == lines
