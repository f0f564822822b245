// Live: fetches a run, follows its events and puts figures where they belong.

import { Charts } from "./charts.js";
import { bundleName, drawShape, FleetMap } from "./fleet.js";
import { bytes, clock, colour, fillTable, make, ms, percent, plural, short, STATES, sum, whole } from "./words.js";

const $ = (id) => document.getElementById(id);
const MOST_POINTS = 6_000;
const MOST_MESSAGES = 200;

const page = {
  mode: "live",
  run: null,
  frame: null,
  summary: null,
  ending: null,
  points: [],
  last: 0,
  events: null,
  token: "",
  isOver: false,
};

// ---------------------------------------------------------------- token, theme

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (given) sessionStorage.setItem("token", given);
    page.token = given || sessionStorage.getItem("token") || "";
  } catch {
    page.token = given || "";
  }
  // Out of the address bar, so that a shared link or a screenshot does not carry it.
  if (given) history.replaceState(null, "", location.pathname);
}

const THEMES = ["", "light", "dark"];

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  $("theme").setAttribute("aria-label", `Colours: ${theme || "as the system"}`);
  $("theme").title = `Colours: ${theme || "as the system"}`;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // a private window: the choice lasts as long as the page
  }
  charts.draw();
  map.redraw();
  showLegend();
}

// ---------------------------------------------------------------- parts

const map = new FleetMap($("map"), $("tip"), (index) => showDevice(index));
const charts = new Charts($("charts"), (at) => setMoment(at));

const P = (name, key, tint, width) => ({ name, colour: tint, width, value: (point) => point[key] });
charts.add({ id: "uploads", title: "Uploads", unit: "per second", series: [P("uploads/s", "uploads", "series-1", 1.8)] });
charts.add({
  id: "response", title: "Response time", unit: "from plan, log scale", log: true, format: ms,
  series: [P("p50", "r50", "p50", 1.4), P("p90", "r90", "p90", 1.7), P("p99", "r99", "p99", 2.2)],
});
charts.add({
  id: "handshake", title: "TLS handshake", unit: "log scale", log: true, format: ms,
  series: [P("p50", "h50", "p50", 1.4), P("p99", "h99", "p99", 2.2)],
});
charts.add({ id: "states", title: "Contact states", unit: "devices", stack: true, order: Object.keys(STATES), counts: (point) => point.states, colour: (name) => `state-${name}` });
charts.add({ id: "failures", title: "Failures by kind", unit: "attempts per second", stack: true, counts: (point) => point.failures, most: 7 });
charts.add({ id: "groups", title: "Cipher groups", unit: "devices", stack: true, sorted: true, counts: (point) => point.groups });
charts.add({
  id: "bundles", title: "Bundle generation", unit: "devices", stack: true, sorted: true, counts: (point) => point.bundles,
  colour: (number) => (number === "0" ? "state-unreached" : `series-${((Number(number) - 1) % 8) + 1}`),
  label: (number) => (number === "0" ? "no bundle" : `#${number}`),
});
charts.add({ id: "sent", title: "Sent", unit: "per second, TLS included", format: bytes, series: [P("sent", "bytes", "series-3", 1.8)] });
charts.add({ id: "backlog", title: "Backlog", unit: "files on cards", series: [P("files", "backlog", "series-2", 1.8)] });
charts.add({
  id: "cpu", title: "Generator", unit: "share of one core", most_value: 1, format: (value) => (value == null ? "–" : `${Math.round(value * 100)} %`),
  series: [P("CPU", "cpu", "series-8", 1.8)],
});

// ---------------------------------------------------------------- data in

async function load() {
  let data;
  try {
    const response = await fetch("/api/run");
    if (!response.ok) throw new Error(String(response.status));
    data = await response.json();
  } catch {
    lost();
    setTimeout(load, 2_000);
    return;
  }
  page.mode = data.mode;
  page.run = data.run;
  page.frame = data.frame;
  page.summary = data.summary;
  page.ending = data.ending;
  page.points = data.points;
  page.last = data.last_id;
  $("messages").replaceChildren();
  if (data.run) {
    map.load(data.run, data.layers);
    for (const option of $("layer").options) option.hidden = option.disabled = !(option.value in data.layers);
  }
  data.notes.forEach((note) => addMessage(note.text, note.entry));
  showAll();
  if (data.mode === "live") follow();
  else {
    page.isOver = true;
    connection("finished run", "idle");
  }
}

function follow() {
  page.events?.close();
  const events = (page.events = new EventSource(`/api/events?after=${page.last}`));
  const on = (name, take) =>
    events.addEventListener(name, (event) => {
      if (event.lastEventId) page.last = Number(event.lastEventId);
      take(JSON.parse(event.data));
    });
  events.onopen = () => connection("live", "good");
  events.onerror = () => {
    if (page.isOver) return;
    lost();
    if (events.readyState === EventSource.CLOSED) setTimeout(load, 2_000);
  };
  on("frame", takeFrame);
  on("note", (note) => {
    if (page.frame) {
      const place = page.frame.timeline.findIndex((entry) => entry.index === note.entry.index);
      if (place >= 0) page.frame.timeline[place] = note.entry;
    }
    addMessage(note.text, note.entry);
    showTimeline();
  });
  on("message", (note) => addMessage(note.text));
  on("end", ({ ending }) => {
    page.ending = ending;
    showHead();
  });
  on("summary", (summary) => {
    page.summary = summary;
    showAll();
  });
  on("reset", () => {
    events.close();
    load();
  });
  on("bye", () => {
    page.isOver = true;
    events.close();
    connection("the run is over; this page keeps what it has", "idle");
    showHead();
  });
}

function takeFrame({ frame, point, changes }) {
  page.frame = frame;
  if (point) {
    page.points.push(point);
    if (page.points.length > MOST_POINTS) page.points = page.points.filter((_, place) => place % 2);
  }
  map.update(changes);
  showFrame();
}

function connection(words, kind) {
  $("connection").textContent = words;
  $("connection").dataset.kind = kind;
}

function lost() {
  connection("connection lost, trying again", "bad");
}

// ---------------------------------------------------------------- figures out

function showAll() {
  showHead();
  showFrame();
  showVerdict();
  showThresholds();
}

function showFrame() {
  showHead();
  showFigures();
  showLegend();
  showTimeline();
  showKinds();
  showCohorts();
  showTime();
  charts.show(page.points, marks(), page.mode === "live" && !page.isOver ? page.run?.duration_s ?? 1 : 0);
}

function showHead() {
  const { run, frame } = page;
  if (!run) {
    $("stage").textContent = "getting ready";
    return;
  }
  document.title = `${run.scenario} · fleetsim`;
  $("scenario").textContent = run.scenario;
  $("where").textContent = `${plural(run.devices, "device")} → ${run.target} · seed ${run.seed} · ${run.name}`;
  $("where").title = run.folder;
  const stage = page.summary ? page.summary.verdict : page.ending ? "checking the bucket" : frame ? { load: "load", drain: "draining", over: "over" }[frame.stage] : "starting";
  if ($("stage").textContent !== stage) {
    $("stage").textContent = stage;
    $("stage").dataset.stage = stage;
    $("spoken").textContent = `${run.scenario}: ${stage}`;
  }
  const now = frame ? frame.now_s : 0;
  $("clock").textContent = `${clock(now)} of ${clock(run.duration_s)}`;
  const isRunning = !page.ending && !page.summary && page.mode === "live";
  $("remaining").textContent = isRunning && frame ? `${frame.stage === "drain" ? "at most " : ""}${clock(frame.remaining_s)} left` : "";
  $("track-fill").style.width = `${Math.min(100, (100 * now) / run.duration_s)}%`;
  $("track-marks").replaceChildren(...marks().filter((mark) => mark.t != null && mark.t <= run.duration_s).map((mark) => {
    const tick = make("i", { title: mark.label });
    tick.style.left = `${(100 * mark.t) / run.duration_s}%`;
    return tick;
  }));
  $("stop").hidden = !(isRunning && !page.isOver && page.token);
  $("stop").textContent = frame?.stage === "drain" ? "Stop at once" : "Stop and drain";
}

function figure(name, text, raw) {
  const element = document.querySelector(`[data-figure="${name}"]`);
  if (element.textContent !== text) element.textContent = text;
  if (raw !== undefined) element.dataset.value = String(raw);
}

function showFigures() {
  const { frame, summary } = page;
  if (!frame) return;
  const recent = frame.recent;
  const isLive = page.mode === "live" && !summary;
  const uploads = summary ? summary.uploads.acknowledged : frame.uploads;
  const rate = summary ? summary.throughput.uploads_per_s : recent.uploads_per_s;
  figure("uploads", whole(uploads), uploads);
  figure("uploads-rate", `${short(rate)}/s${isLive ? "" : " on average"}${summary?.uploads.stored != null ? ` · ${whole(summary.uploads.stored)} stored` : ""}`);
  const response = summary ? summary.latency.response : isLive && recent.response.count ? recent.response : frame.response;
  figure("response-p99", ms(response.p99_ms), response.p99_ms ?? "");
  figure("response-more", isLive
    ? `p50 ${ms(response.p50_ms)} · whole run p99 ${ms(frame.response.p99_ms)}`
    : `p50 ${ms(response.p50_ms)} · max ${ms(response.max_ms)}`);
  const handshake = summary ? summary.latency.tls : isLive && recent.handshake.count ? recent.handshake : frame.handshake;
  figure("handshake-p99", ms(handshake.p99_ms), handshake.p99_ms ?? "");
  figure("handshake-more", isLive
    ? `p50 ${ms(handshake.p50_ms)} · whole run p99 ${ms(frame.handshake.p99_ms)}`
    : `p50 ${ms(handshake.p50_ms)} · max ${ms(handshake.max_ms)}`);
  const failures = summary ? summary.failures : frame.failures;
  figure("failures", whole(sum(failures)), sum(failures));
  figure("failures-more", sum(failures) ? `${percent(sum(failures), frame.attempts)} of ${whole(frame.attempts)} attempts` : `none in ${whole(frame.attempts)} attempts`);
  const states = frame.states;
  const touched = (states.connected || 0) + (states.degraded || 0) + (states.recovered || 0);
  figure("in-touch", percent(touched, frame.devices), touched);
  const lost = ["failing", "stranded", "asleep"].filter((name) => states[name]).map((name) => `${whole(states[name])} ${name}`);
  figure("in-touch-more", lost.join(" · ") || `${whole(touched)} of ${whole(frame.devices)} devices`);
  figure("sent", isLive ? `${bytes(recent.sent_bytes_per_s)}/s` : bytes(frame.sent_bytes), frame.sent_bytes);
  figure("sent-more", isLive ? `${bytes(frame.sent_bytes)} so far · ${whole(frame.in_flight)} in flight` : "TLS included");
  const health = frame.health;
  figure("cpu", `${Math.round(frame.cpu_ratio * 100)} %`, frame.cpu_ratio);
  figure("generator", health ? (health.saturated ? `saturated: ${health.reasons[0]}` : `of a core · ${plural(health.late_starts, "late start")}`) : "of a core");
  $("generator-figure").classList.toggle("bad", Boolean(health?.saturated));
}

function showLegend() {
  const counts = map.counts();
  const names = map.layers[map.layer]?.names || [];
  const order = names.map((_, code) => code).filter((code) => counts[code] || map.only.has(code));
  const buttons = order.map((code) => {
    const style = map.style(code);
    const button = make("button", { type: "button", "aria-pressed": String(map.only.has(code)), title: style.words },
      glyph(style), `${style.name} `, make("b", {}, whole(counts[code])));
    button.dataset.code = code;
    button.addEventListener("click", () => {
      map.toggleOnly(code);
      showLegend();
      document.querySelector(`#legend [data-code="${code}"]`)?.focus();
    });
    return button;
  });
  const signature = buttons.map((button) => button.textContent + button.getAttribute("aria-pressed")).join() + map.layer + colour("page");
  if (signature === showLegend.signature) return;
  showLegend.signature = signature;
  const held = document.activeElement?.dataset?.code;
  $("legend").replaceChildren(...buttons);
  if (held != null) document.querySelector(`#legend [data-code="${held}"]`)?.focus();
  $("map").setAttribute("aria-label", `Fleet map by ${$("layer").selectedOptions[0].text}: ${order.map((code) => `${map.style(code).name} ${counts[code]}`).join(", ")}`);
}

function glyph(style) {
  const size = 14;
  const ratio = devicePixelRatio || 1;
  const canvas = make("canvas", { width: size * ratio, height: size * ratio, class: "glyph", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  drawShape(context, size, style);
  return canvas;
}

const ENTRY_WORDS = { waiting: "○", running: "◐", done: "●", failed: "✕", skipped: "–" };

function marks() {
  return (page.frame?.timeline || []).map((entry) => ({
    t: entry.started_s ?? entry.due_s,
    label: entry.label,
    done: entry.started_s != null,
    bad: entry.state === "failed",
  }));
}

function showTimeline() {
  const entries = page.frame?.timeline || [];
  $("timeline-none").hidden = entries.length > 0;
  const isRunning = page.mode === "live" && !page.ending;
  const waiting = entries.filter((entry) => entry.state === "waiting");
  const next = waiting.filter((entry) => entry.due_s != null).sort((a, b) => a.due_s - b.due_s)[0] || waiting[0];
  const signature = JSON.stringify([entries, isRunning && next ? Math.round(page.frame.now_s) : 0]);
  if (signature === showTimeline.signature) return;
  showTimeline.signature = signature;
  $("timeline").replaceChildren(...entries.map((entry) => {
    const isNext = isRunning && entry === next;
    let when = entry.trigger;
    if (entry.started_s != null) when = `at ${clock(entry.started_s)}${entry.ended_s != null && entry.ended_s - entry.started_s >= 1 ? `, took ${clock(entry.ended_s - entry.started_s)}` : ""}`;
    else if (isNext && entry.due_s != null) when = `in ${clock(entry.due_s - page.frame.now_s)}`;
    return make("li", { class: `${entry.state}${isNext ? " next" : ""}` },
      make("span", { class: "icon", "aria-hidden": "true" }, ENTRY_WORDS[entry.state]),
      make("span", { class: "what" }, entry.label, make("span", { class: "unseen" }, `, ${entry.state}`), entry.note ? make("span", { class: "note" }, entry.note) : null),
      make("span", { class: "when" }, isNext ? "next, " : "", when));
  }));
  // What happens now stays in sight, unless somebody reads elsewhere in the list.
  const list = $("timeline");
  const now = list.querySelector(".running, .next");
  const place = isRunning && now ? entries.length && [...list.children].indexOf(now) : -1;
  if (place >= 0 && place !== showTimeline.place) {
    list.scrollTop = now.offsetTop - list.offsetTop - list.clientHeight / 2;
    showTimeline.place = place;
  }
}

function showKinds() {
  const failures = page.summary ? page.summary.failures : page.frame?.failures || {};
  const total = sum(failures);
  const rows = Object.entries(failures).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  const signature = JSON.stringify(rows);
  if (signature === showKinds.signature) return;
  showKinds.signature = signature;
  if (!rows.length) {
    $("kinds").replaceChildren(make("p", { class: "faint" }, "No attempt has failed."));
    return;
  }
  const list = make("ul", { class: "bars" });
  for (const [kind, count] of rows.slice(0, 12)) {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * count) / rows[0][1]}%`;
    list.append(make("li", { "data-kind": kind, "data-count": count }, make("span", { class: "label" }, kind), make("b", {}, whole(count)), make("span", { class: "share" }, percent(count, total)), bar));
  }
  if (rows.length > 12) list.append(make("li", { class: "faint" }, `${rows.length - 12} more kinds`));
  $("kinds").replaceChildren(list);
}

function showCohorts() {
  const cohorts = page.frame?.cohorts || [];
  const states = Object.keys(STATES).filter((name) => cohorts.some((each) => each.states[name]));
  const mix = (counts, total) => Object.entries(counts).sort((a, b) => a[0].localeCompare(b[0], "en", { numeric: true })).map(([name, count]) => `${name} ${percent(count, total)}`).join(", ") || "–";
  fillTable($("cohorts"), "Cohorts",
    ["cohort", "devices", ...states, "uploads", "failed", "p50", "p99", "cipher groups", "bundles"],
    cohorts.map((each) => [
      each.name, whole(each.devices), ...states.map((name) => whole(each.states[name] || 0)),
      whole(each.uploads), whole(each.failures), ms(each.response.p50_ms), ms(each.response.p99_ms),
      mix(each.groups, sum(each.groups)),
      mix(Object.fromEntries(Object.entries(each.bundles).map(([number, count]) => [number === "0" ? "none" : `#${number}`, count])), sum(each.bundles)),
    ]), [states.length + 6, states.length + 7]);
}

function showVerdict() {
  const { summary, run } = page;
  $("verdict").hidden = !summary;
  if (!summary) return;
  const isGood = summary.verdict === "passed" || (summary.expect === "fail" && summary.as_expected);
  $("verdict").className = `banner ${isGood ? "good" : summary.verdict === "interrupted" ? "warn" : "bad"}`;
  const word = summary.expect === "fail" && summary.verdict === "failed"
    ? summary.as_expected ? "Failed as expected" : "Failed, but not by the damage it shows"
    : summary.verdict.charAt(0).toUpperCase() + summary.verdict.slice(1);
  const uploads = summary.uploads;
  const truth = uploads.stored == null
    ? "the bucket was not checked"
    : uploads.unaccounted ? `${whole(uploads.unaccounted)} unaccounted` : `acknowledged ${whole(uploads.acknowledged)} = stored ${whole(uploads.stored)}`;
  const broken = summary.thresholds.filter((each) => each.ok === false).length;
  $("verdict").replaceChildren(
    make("strong", { id: "verdict-word" }, `${word}: `),
    `${plural(run.devices, "device")}, ${plural(uploads.acknowledged, "upload")} in ${clock(summary.seconds)}; ${truth}`,
    broken ? `; ${plural(broken, "threshold")} did not hold` : "",
    summary.generator?.saturated ? "; generator saturated: times are the generator's, not the target's" : "",
    summary.detail ? `; ${summary.detail}` : "",
  );
}

function showThresholds() {
  const thresholds = page.summary?.thresholds || [];
  $("thresholds-panel").hidden = !thresholds.length;
  const value = (each) => {
    if (each.value == null) return each.reason || "–";
    if (each.unit === "duration") return ms(each.value * 1000);
    if (each.unit === "ratio") return `${Number((each.value * 100).toPrecision(3))} %`;
    return whole(each.value);
  };
  fillTable($("thresholds"), "Thresholds", ["threshold", "measured", "holds"],
    thresholds.map((each) => [each.expression, value(each), make("span", { class: each.ok === (each.expect !== "fail") ? "good-text" : "bad-text" }, each.ok ? "✓ yes" : "✕ no")]), [2]);
}

function addMessage(text, entry) {
  $("messages-none").hidden = true;
  const at = entry ? entry.touched_s : null;
  $("messages").prepend(make("li", {}, make("span", { class: "when" }, at == null ? "" : clock(at)), text));
  while ($("messages").children.length > MOST_MESSAGES) $("messages").lastChild.remove();
}

// ---------------------------------------------------------------- time travel

function endOfTime() {
  return page.points.length ? page.points[page.points.length - 1].t : page.frame?.now_s || 1;
}

function setMoment(at) {
  const end = endOfTime();
  const moment = at == null || at >= end ? null : Math.max(0, at);
  map.setMoment(moment);
  charts.setMoment(moment);
  showTime();
  showLegend();
}

function showTime() {
  const end = endOfTime();
  const { moment } = map;
  $("time").max = String(end);
  $("time").step = String(Math.max(0.1, end / 1000));
  $("time").value = String(moment ?? end);
  const words = moment == null ? (page.isOver || page.mode !== "live" ? "end" : "now") : clock(moment);
  $("time-words").textContent = words;
  $("time").setAttribute("aria-valuetext", words);
  $("now").hidden = moment == null;
  $("now").textContent = page.isOver || page.mode !== "live" ? "Back to the end" : "Back to now";
}

// ---------------------------------------------------------------- one device

async function showDevice(index) {
  const id = map.id(index);
  $("device").hidden = false;
  $("device-title").textContent = `Device ${id}`;
  const facts = [["cohort", map.cohortOf(index)?.name || "–"]];
  const layer = (name) => map.layers[name];
  const group = layer("group")?.names[layer("group").now[index]];
  if (group) facts.push(["cipher group", group]);
  const bundle = layer("bundle")?.names[layer("bundle").now[index]];
  if (bundle) facts.push(["trust bundle", bundleName(bundle)]);
  const list = make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
  const body = make("div", {}, make("p", { class: "faint" }, "reading its history …"));
  $("device-body").replaceChildren(list, body);
  if (innerWidth < 900) $("device").scrollIntoView({ block: "nearest" });
  let found = null;
  try {
    const response = await fetch(`/api/device/${index}`);
    if (response.ok) found = await response.json();
  } catch {
    // the run is over and its server gone: what the page itself has must do
  }
  if (map.selected !== index) return;
  const changes = found?.changes.length
    ? found.changes.map((each) => ({ t: each.at_s, state: each.state, reason: each.reason }))
    : (layer("state")?.history(index) || []).map((each) => ({ t: each.t, state: layer("state").names[each.code], reason: "" }));
  const history = make("ol", { class: "history" }, ...changes.slice(-40).reverse().map((each) =>
    make("li", {}, make("span", { class: "when" }, clock(each.t)), make("span", { class: `state state-${each.state}` }, each.state), make("span", { class: "reason" }, each.reason))));
  const parts = [make("h3", {}, "Contact"), history];
  if (found?.attempts?.length) {
    const table = make("table");
    fillTable(table, "Last attempts", ["at", "operation", "took", "outcome"], found.attempts.slice(-20).reverse().map((each) => [
      clock(each.started_s), `${each.operation}${each.attempt > 1 ? ` (${each.attempt})` : ""}${each.group ? ` · ${each.group}` : ""}`,
      ms(each.took_ms), make("span", { class: each.kind ? "bad-text" : "", title: each.detail }, each.kind || String(each.status || "ok")),
    ]), [1, 3]);
    parts.push(make("h3", {}, "Last attempts"), make("div", { class: "wide" }, table));
  } else if (!found) parts.push(make("p", { class: "faint" }, "Reasons and attempts: fleetsim ui opens the run again."));
  body.replaceChildren(...parts);
}

// ---------------------------------------------------------------- controls

async function stop() {
  $("confirm").close();
  let words = "stopping";
  try {
    const response = await fetch("/api/stop", { method: "POST", headers: { "X-Fleetsim-Token": page.token } });
    if (!response.ok) words = `not stopped: ${(await response.json()).error}`;
  } catch {
    words = "not stopped: no connection";
  }
  addMessage(words);
  $("spoken").textContent = words;
}

$("stop").addEventListener("click", () => {
  const isDraining = page.frame?.stage === "drain";
  $("confirm-yes").textContent = isDraining ? "Stop at once" : "Stop and drain";
  $("confirm-text").textContent = isDraining
    ? "Attempts under way are broken off; what waits on the cards stays there."
    : "No new files; devices upload what waits on their cards. The run counts as interrupted, everything recorded is kept.";
  $("confirm").showModal();
});
$("confirm-no").addEventListener("click", () => $("confirm").close());
$("confirm-yes").addEventListener("click", stop);
$("layer").addEventListener("change", () => {
  map.setLayer($("layer").value);
  showLegend();
});
$("time").addEventListener("input", () => setMoment(Number($("time").value)));
$("now").addEventListener("click", () => setMoment(null));
$("find").addEventListener("change", () => {
  const index = $("find").value.trim() ? map.find($("find").value.trim()) : -1;
  $("find").setCustomValidity(index < 0 && $("find").value.trim() ? "no such device" : "");
  $("find").reportValidity();
  if (index >= 0) {
    map.setCursor(index, true);
    map.select(index);
  }
});
$("device-close").addEventListener("click", () => {
  $("device").hidden = true;
  map.deselect();
  $("map").focus();
});
$("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
addEventListener("online", () => !page.isOver && page.events?.readyState === EventSource.CLOSED && load());

takeToken();
let stored = "";
try {
  stored = localStorage.getItem("theme") || "";
} catch {
  stored = "";
}
if (stored) setTheme(stored);
load();
