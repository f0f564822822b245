"""The report in a real browser: alone, silent, readable by pointer and by keyboard."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fleetsim.report.html.page import write_report
from fleetsim.report.load import load_run
from tests.recording.records import DEVICE, record
from tests.report.runs import change, make_run, step

pytestmark = pytest.mark.server

HOSTILE = "<img src=x onerror=document.title='taken'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    path = shutil.which("chromium")
    if path is None:
        why = "chromium is not installed: make tools"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    # its sandbox needs a user of its own; everything it opens is ours
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=arguments)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small rehearsal with hostile names in it."""
    rows = [record(n, cohort=HOSTILE) for n in range(20)]
    rows.append(record(9, kind="tcp.refused", phase="tcp", detail=HOSTILE))
    folder = make_run(
        tmp_path_factory.mktemp("run"),
        rows,
        histories=[
            (DEVICE, HOSTILE, change(0, "", "connected")),
            (DEVICE, HOSTILE, change(15, "connected", "stranded", HOSTILE)),
        ],
        timeline=[
            step("push_bundle", "start", 8, name="add", entry=0),
            step("push_bundle", "end", 8.5, entry=0),
        ],
    )
    return write_report(load_run(folder))


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    """The report, opened from its file; whatever it asks for or complains about fails."""
    found = browser.new_page()
    noise: list[str] = []
    found.on("console", lambda message: noise.append(message.text))
    found.on("pageerror", lambda error: noise.append(str(error)))
    found.on("request", lambda request: noise.append(request.url))
    found.goto(report.as_uri())
    yield found
    assert noise == [report.as_uri()]
    found.close()


def test_it_opens_from_its_file_without_a_sound(page: Page) -> None:
    """No request but for itself, no error, nothing of a hostile name is run."""
    expect(page.locator("h1")).to_be_visible()
    assert page.title() != "taken"
    assert page.locator("img").count() == 0
    assert page.locator("main").inner_text().count(HOSTILE) > 2


def test_the_pointer_reads_a_chart(page: Page) -> None:
    """What it shows is the row of the table at that time."""
    chart = page.locator("#chart-uploads")
    chart.locator(".plot").scroll_into_view_if_needed()
    box = chart.locator(".frame").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 10.5 / 20, box["y"] + 100)
    row = chart.locator("tbody tr").nth(10)
    time = row.locator("th").text_content()
    expect(chart.locator(".readout")).to_contain_text(f"{time} · planned 1")
    page.mouse.move(0, 0)
    expect(chart.locator(".readout")).not_to_be_visible()


def test_arrow_keys_read_a_chart(page: Page) -> None:
    """From its first value to its last, for people without a pointer."""
    plot = page.locator("#chart-uploads .plot")
    plot.focus()
    readout = page.locator("#chart-uploads .readout")
    page.keyboard.press("ArrowRight")
    expect(readout).to_have_text("0 s · planned 1 · acknowledged 1")
    page.keyboard.press("End")
    expect(readout).to_contain_text("19 s")
    page.keyboard.press("Escape")
    expect(readout).not_to_be_visible()


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_is_never_wider_than_its_screen(page: Page, width: int) -> None:
    """Wide tables scroll by themselves."""
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_its_ground(page: Page, scheme: str) -> None:
    """The page follows the reader's light or dark (WCAG 2.2, 1.4.3: 4.5 to 1)."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for place in (".sentence", ".note", ".remark", ".badge", "thead th", ".tick"):
        assert page.evaluate(CONTRAST, place) >= 4.5, place


CONTRAST = """(place) => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const element = document.querySelector(place);
  const style = getComputedStyle(element);
  const ink = light(parse(element instanceof SVGElement ? style.fill : style.color));
  let ground = element;
  while (ground && parse(getComputedStyle(ground).backgroundColor)[3] === 0) {
    ground = ground.parentElement;
  }
  const paper = light(parse(getComputedStyle(ground).backgroundColor));
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""
