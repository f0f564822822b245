"""The live page in a real browser: the run's own figures, its controls, on any screen.

Playwright (playwright.dev) drives Debian's Chromium. ``FLEETSIM_SCREENSHOTS=DIR`` keeps
the pictures of the README.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from tests.integration.runs import FLEETSIM, cohort, scenario
from tests.recording.records import record
from tests.report.runs import change, make_run

pytestmark = pytest.mark.server

WAIT_MS = 30_000
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
    # Its sandbox needs a user of its own; everything it opens is ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=arguments)


class Program:
    """A ``fleetsim`` that serves a page.

    Attributes:
        url: Address it printed.
        folder: Its results.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*FLEETSIM, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        found = None
        lines: list[str] = []
        while found is None and (line := self.process.stderr.readline()):
            lines.append(line)
            found = re.search(r"http://\S+", line) if "127.0.0.1" in line else None
        if found is None:
            self.process.communicate(timeout=30)
            pytest.fail(f"it printed no address: {lines}")
        self.url = found.group()

    def end(self) -> tuple[int, dict[str, Any]]:
        """Wait for the end; exit code and summary."""
        _, _ = self.process.communicate(timeout=60)
        (summary,) = self.folder.glob("*/summary.json")
        return self.process.returncode, json.loads(summary.read_text())


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start programs; those that still run are ended."""
    started: list[Program] = []

    def start(*arguments: str) -> Program:
        made = Program(tmp_path, *arguments)
        started.append(made)
        return made

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
        each.process.communicate(timeout=30)


class Cable:
    """A way to a server that can be cut: the same port of another loopback address.

    Attributes:
        url: Address at this end.
    """

    def __init__(self, url: str) -> None:
        self.url = url.replace("127.0.0.1", "127.0.0.2")
        port = urlsplit(url).port
        assert port is not None
        self._far = ("127.0.0.1", port)
        self._ends: set[socket.socket] = set()
        self._is_cut = False
        self._near = socket.create_server(("127.0.0.2", port))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._near.accept()
            except OSError:
                return
            if self._is_cut:
                near.close()
                continue
            far = socket.create_connection(self._far)
            self._ends |= {near, far}
            for pair in ((near, far), (far, near)):
                self._threads.append(threading.Thread(target=self._copy, args=pair))
                self._threads[-1].start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Nothing gets through any more."""
        self._is_cut = True
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """New connections get through again."""
        self._is_cut = False

    def __enter__(self) -> "Cable":
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._near.shutdown(socket.SHUT_RDWR)
        self._near.close()
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


def written(folder: Path, **changes: Any) -> str:
    """A scenario in a file: some devices, a timeline."""
    data = scenario(
        cohort("first", 30),
        cohort("second", 10),
        timeline=[
            {"name": "second_root", "at": "1s", "issue_ca": {}},
        ],
        **changes,
    )
    file = folder / "page.yaml"
    file.write_text(json.dumps(data))
    return str(file)


class Watched:
    """A page, and what went wrong on it."""

    def __init__(self, browser: Browser, **how: Any) -> None:
        self.troubles: list[str] = []
        self.page: Page = browser.new_context(**how).new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        # The browser itself reports connections that fail.
        if message.type == "error" and "net::ERR_" not in message.text:
            self.troubles.append(message.text)

    def figure(self, name: str) -> str:
        """Raw value of a figure."""
        return (
            self.page.locator(f'[data-figure="{name}"]').get_attribute("data-value")
            or ""
        )


def test_a_run_to_its_end(
    browser: Browser, program: Callable[..., Program], tmp_path: Path
) -> None:
    """The page shows the figures of the run's own summary, also after a break."""
    started = program(
        "run", written(tmp_path, duration="7s"), "--ui", "0", "--results", str(tmp_path)
    )
    with Cable(started.url) as cable:
        watched = Watched(browser, viewport={"width": 1400, "height": 900})
        page = watched.page
        page.goto(cable.url)
        expect(page.locator("#stage")).to_have_text("load", timeout=WAIT_MS)
        expect(page.locator("#connection")).to_have_text("live")
        assert "token" not in page.url, "a shared link must not carry it"
        expect(page.locator("#timeline li").first).to_contain_text("second_root")
        expect(page.locator("#legend button").first).to_contain_text("connected")
        cable.cut()
        expect(page.locator("#connection")).to_contain_text("lost", timeout=WAIT_MS)
        cable.mend()
        expect(page.locator("#connection")).to_have_text("live", timeout=WAIT_MS)
        expect(page.locator("#verdict")).to_be_visible(timeout=WAIT_MS)
        expect(page.locator("#connection")).to_contain_text("over", timeout=WAIT_MS)
    code, summary = started.end()
    uploads = summary["uploads"]
    assert watched.figure("uploads") == str(uploads["acknowledged"])
    assert watched.figure("failures") == str(sum(summary["failures"].values()))
    for name, phase in (("response-p99", "response"), ("handshake-p99", "tls")):
        assert float(watched.figure(name)) == summary["latency"][phase]["p99_ms"]
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text(summary["verdict"], ignore_case=True)
    expect(verdict).to_contain_text(f"stored {uploads['stored']:,}")
    for name, figures in summary["cohorts"].items():
        cells = page.locator("#cohorts tbody tr", has_text=name).locator("td")
        expect(cells.first).to_have_text(str(figures["devices"]["total"]))
    expect(page.locator("#stop")).to_be_hidden()
    assert (code, summary["devices"]["total"]) == (0, 40)
    assert not watched.troubles


def test_stopping(
    browser: Browser, program: Callable[..., Program], tmp_path: Path
) -> None:
    """The button asks, then does what Ctrl-C does; without the token there is none."""
    started = program(
        "run",
        written(tmp_path, duration="300s"),
        "--ui",
        "0",
        "--results",
        str(tmp_path),
    )
    stranger = Watched(browser).page
    stranger.goto(started.url.partition("#")[0])
    expect(stranger.locator("#stage")).to_have_text("load", timeout=WAIT_MS)
    expect(stranger.locator("#stop")).to_be_hidden()
    status = stranger.evaluate(
        "fetch('/api/stop', {method: 'POST', headers: {'X-Fleetsim-Token': 'guess'}})"
        ".then(answer => answer.status)"
    )
    assert status == 403
    page = Watched(browser).page
    page.goto(started.url)
    page.locator("#stop").click()
    page.locator("#confirm-no").click()
    expect(page.locator("#stage")).to_have_text("load")
    page.locator("#stop").click()
    page.locator("#confirm-yes").click()
    expect(page.locator("#stage")).to_have_text("interrupted", timeout=WAIT_MS)
    code, summary = started.end()
    assert (code, summary["verdict"]) == (130, "interrupted")
    assert summary["uploads"]["unaccounted"] == 0


def hostile_run(folder: Path) -> Path:
    """A finished run in whose texts somebody hid markup."""
    devices = [f"AAAA{n:04}" for n in range(300)]
    return make_run(
        folder,
        [
            record(0, device=devices[0], cohort="c", kind=HOSTILE, detail=HOSTILE),
            *(
                record(n % 20, device=each, cohort="c")
                for n, each in enumerate(devices)
            ),
        ],
        histories=[
            *((each, "c", change(0, "", "unreached")) for each in devices),
            *((each, "c", change(1, "unreached", "connected")) for each in devices[2:]),
            (devices[0], "c", change(2, "unreached", "stranded", HOSTILE)),
            (devices[1], "c", change(3, "unreached", "failing", "no")),
        ],
    )


def test_a_finished_run_by_keyboard(
    browser: Browser, program: Callable[..., Program], tmp_path: Path
) -> None:
    """Every device can be reached without a mouse; texts are never markup."""
    folder = hostile_run(tmp_path / "results")
    started = program("ui", str(folder), "--listen", "0")
    watched = Watched(browser, viewport={"width": 1200, "height": 800})
    page = watched.page
    page.goto(started.url)
    expect(page.locator("#connection")).to_have_text("finished run")
    page.locator("#map").focus()
    expect(page.locator("#spoken")).to_contain_text("AAAA0000, c: stranded")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#spoken")).to_contain_text("AAAA0001, c: failing")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    body = page.locator("#device-body")
    expect(body).to_contain_text(HOSTILE)
    expect(page.locator("#kinds")).to_contain_text(HOSTILE)
    expect(body).to_contain_text("stranded")
    page.locator("#legend button", has_text="stranded").press("Enter")
    expect(page.locator("#legend button", has_text="stranded")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.locator("#time").focus()
    page.keyboard.press("Home")
    expect(page.locator("#legend")).to_contain_text("unreached 300")
    page.locator("#now").press("Enter")
    expect(page.locator("#legend")).to_contain_text("connected 298")
    page.locator("#find").fill("AAAA0001")
    page.locator("#find").press("Enter")
    expect(page.locator("#device-title")).to_have_text("Device AAAA0001")
    page.locator("#chart-uploads canvas").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#spoken")).to_contain_text("Uploads at")
    page.locator("#chart-uploads summary").press("Enter")
    expect(page.locator("#chart-uploads table")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert "taken" not in page.title()
    names = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas[tabindex]')]"
        ".filter(e => !e.closest('[hidden]') && !e.closest('dialog'))"
        ".filter(e => !(e.ariaLabel || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.id || e.outerHTML)"
    )
    assert names == [], "without a name for who cannot see them"
    assert not watched.troubles


@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_screens(
    browser: Browser, program: Callable[..., Program], tmp_path: Path, width: int
) -> None:
    """Nothing has to be scrolled sideways on a phone (WCAG 2.2, 1.4.10 Reflow)."""
    started = program("ui", str(hostile_run(tmp_path / "results")), "--listen", "0")
    watched = Watched(browser, viewport={"width": width, "height": 780})
    page = watched.page
    page.goto(started.url)
    expect(page.locator("#connection")).to_have_text("finished run")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#device")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not watched.troubles


CONTRAST = """
() => {
  const style = getComputedStyle(document.documentElement);
  const parts = (name) => {
    const hex = style.getPropertyValue(`--${name}`).trim();
    return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16) / 255);
  };
  const light = (name) => {
    const [r, g, b] = parts(name).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const grounds = { text: ["page", "panel", "sunken"], "text-soft": ["page", "panel"], "text-faint": ["page", "panel"],
    accent: ["panel"], good: ["panel", "good-soft"], bad: ["panel", "bad-soft"], warn: ["panel", "warn-soft"] };
  return Object.fromEntries(Object.entries(grounds).flatMap(([ink, under]) => under.map((ground) => [`${ink} on ${ground}`, ratio(ink, ground)])));
}
"""
"""Contrast as WCAG 2.2 defines it, of every ink on every ground it is used on."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(
    browser: Browser,
    program: Callable[..., Program],
    tmp_path: Path,
    scheme: Literal["light", "dark"],
) -> None:
    """The page follows the reader's preference, and text can be read (WCAG 1.4.3)."""
    started = program("ui", str(hostile_run(tmp_path / "results")), "--listen", "0")
    watched = Watched(browser, color_scheme=scheme)
    page = watched.page
    page.goto(started.url)
    expect(page.locator("#connection")).to_have_text("finished run")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) / 3
    assert (brightness > 128) is (scheme == "light")
    ratios: dict[str, float] = page.evaluate(CONTRAST)
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not watched.troubles


PICTURES = os.environ.get("FLEETSIM_SCREENSHOTS")


@pytest.mark.skipif(PICTURES is None, reason="make screenshots")
@pytest.mark.timeout(180)
def test_pictures(
    browser: Browser, program: Callable[..., Program], tmp_path: Path
) -> None:
    """Pictures of a rehearsal in which devices are lost, as the README shows them."""
    names = ("awake_main", "awake_bridge", "asleep_main", "asleep_bridge")
    counts = [("--set", f"cohorts[{name}].count=150") for name in names]
    started = program(
        *("run", "asleep_through_the_overlap", "--ui", "0", "--results", str(tmp_path)),
        *(part for pair in counts for part in pair),
    )
    pages = {
        ("live-light.png", 1440, 1040): "light",
        ("live-dark.png", 1440, 1040): "dark",
        ("live-phone.png", 390, 1040): "light",
    }
    shown = {
        name: Watched(
            browser, viewport={"width": width, "height": height}, color_scheme=scheme
        ).page
        for (name, width, height), scheme in pages.items()
    }
    for page in shown.values():
        page.goto(started.url)
    for page in shown.values():
        expect(page.locator("#legend")).to_contain_text("stranded", timeout=60_000)
    for name, page in shown.items():
        file = Path(str(PICTURES)) / name
        page.screenshot(path=file)
        assert 10_000 < file.stat().st_size < 300_000
