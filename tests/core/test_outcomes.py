"""The difference between told and stored is one number."""

from fleetsim.core.outcomes import AuditOutcome


def test_unaccounted_adds_up_both_directions() -> None:
    """Not stored whole and stored but never sent count; late and earlier do not."""
    outcome = AuditOutcome(
        checked=True,
        missing_count=1,
        wrong_size_count=2,
        wrong_etag_count=4,
        unexplained_count=8,
        late_count=16,
        earlier_count=32,
    )
    assert outcome.unaccounted == 15
