"""Pages as Markdown: what GitHub and every editor show."""

from fleetsim.report.reference.page import Page, Section, markdown


def test_a_page_is_headings_text_and_tables() -> None:
    """Bars and line ends in a cell do not break the table."""
    page = Page(
        name="x",
        title="X",
        sections=(
            Section(text=("Words.",)),
            Section(title="T", header=("a", "b"), rows=(("1|2", "two\nlines"),)),
        ),
    )
    assert markdown(page) == (
        "# X\n\nWords.\n\n## T\n\n| a | b |\n| --- | --- |\n| 1\\|2 | two lines |\n"
    )
