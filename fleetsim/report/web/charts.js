// Charts: small multiples on canvas that share one time axis and one cursor.
//
// A chart draws lines or a stack. Series differ in weight or dash as well as in colour,
// and every value at the cursor stands in the legend as text.

import { clock, colour, make, short } from "./words.js";

const MARGIN = { left: 46, right: 10, top: 8, bottom: 22 };
const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 2], [10, 4], [4, 4], [3, 1]];

export class Charts {
  constructor(host, onPick) {
    this.host = host;
    this.onPick = onPick;
    this.charts = [];
    this.points = [];
    this.marks = [];
    this.end = 1;
    this.cursor = null;
    this.moment = null;
    this.waiting = false;
    new ResizeObserver(() => this.draw()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  add(spec) {
    const chart = new Chart(this, spec);
    this.charts.push(chart);
    this.host.append(chart.element);
  }

  show(points, marks, end) {
    this.points = points;
    this.marks = marks;
    this.end = Math.max(end, points.length ? points[points.length - 1].t : 0, 1);
    this.draw();
  }

  point(at) {
    if (at == null) return this.points[this.points.length - 1];
    let low = 0;
    let high = this.points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.points[middle].t < at) low = middle + 1;
      else high = middle;
    }
    const before = this.points[low - 1];
    const here = this.points[low];
    return before && here && at - before.t < here.t - at ? before : here;
  }

  setCursor(at) {
    this.cursor = at;
    this.draw();
  }

  setMoment(at) {
    this.moment = at;
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const chart of this.charts) chart.draw();
    });
  }
}

class Chart {
  constructor(group, spec) {
    this.group = group;
    this.spec = spec;
    this.canvas = make("canvas", { tabindex: 0, role: "img" });
    this.legend = make("div", { class: "chart-legend" });
    this.table = make("table");
    this.details = make("details", {}, make("summary", {}, "Table"), make("div", { class: "wide" }, this.table));
    this.details.addEventListener("toggle", () => this.fillTable());
    this.heading = make("h2", {}, spec.title);
    if (spec.unit) this.heading.append(make("span", { class: "unit" }, spec.unit));
    this.element = make("figure", { class: "panel chart", id: `chart-${spec.id}` },
      make("figcaption", {}, this.heading), this.legend, this.canvas, this.details);
    this.canvas.addEventListener("pointermove", (event) => group.setCursor(this.timeAt(event)));
    this.canvas.addEventListener("pointerleave", () => group.setCursor(null));
    this.canvas.addEventListener("click", (event) => group.onPick(this.timeAt(event)));
    this.canvas.addEventListener("blur", () => group.setCursor(null));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  onKey(event) {
    const points = this.group.points;
    if (!points.length) return;
    const here = this.group.cursor == null ? points.length - 1 : points.indexOf(this.group.point(this.group.cursor));
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 };
    let next = null;
    if (event.key in steps) next = here + steps[event.key];
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = points.length - 1;
    else if (event.key === "Enter") this.group.onPick(points[here].t);
    if (next == null) return;
    event.preventDefault();
    const point = points[Math.min(points.length - 1, Math.max(0, next))];
    this.group.setCursor(point.t);
    this.say(point);
  }

  say(point) {
    const words = this.series().map((each) => `${each.name} ${this.format(each.value(point))}`);
    document.getElementById("spoken").textContent = `${this.spec.title} at ${clock(point.t)}: ${words.join(", ")}`;
  }

  timeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / Math.max(1, box.width - MARGIN.left - MARGIN.right);
    return Math.min(1, Math.max(0, share)) * this.group.end;
  }

  format(value) {
    return (this.spec.format || short)(value);
  }

  // Fixed series, or one for every name that occurs in the points.
  series() {
    const { spec, group } = this;
    if (spec.series) return spec.series;
    const totals = new Map();
    for (const point of group.points) {
      for (const [name, count] of Object.entries(spec.counts(point) || {})) {
        totals.set(name, (totals.get(name) || 0) + count);
      }
    }
    let names = [...totals.keys()];
    if (spec.order) names = spec.order.filter((name) => totals.get(name));
    else if (spec.sorted) names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    else names.sort((a, b) => totals.get(b) - totals.get(a));
    const most = spec.most || 8;
    const shown = names.length > most ? names.slice(0, most - 1) : names;
    const found = shown.map((name, place) => ({
      name: spec.label ? spec.label(name) : name,
      colour: spec.colour ? spec.colour(name) : `series-${(place % 8) + 1}`,
      value: (point) => (spec.counts(point) || {})[name] || 0,
    }));
    if (shown.length < names.length) {
      const others = names.slice(most - 1);
      found.push({
        name: `${others.length} others`,
        colour: "series-8",
        value: (point) => others.reduce((total, name) => total + ((spec.counts(point) || {})[name] || 0), 0),
      });
    }
    return found;
  }

  draw() {
    const { canvas, spec, group } = this;
    const box = canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const ratio = devicePixelRatio || 1;
    const width = Math.round(box.width * ratio);
    const height = Math.round(box.height * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    const area = {
      left: MARGIN.left,
      top: MARGIN.top,
      right: box.width - MARGIN.right,
      bottom: box.height - MARGIN.bottom,
    };
    const series = this.series();
    const scale = this.scale(series);
    const x = (t) => area.left + (t / group.end) * (area.right - area.left);
    const y = (value) => area.bottom - scale.place(value) * (area.bottom - area.top);
    this.drawGrid(context, area, scale, x, y);
    context.save();
    context.beginPath();
    context.rect(area.left, area.top - 2, area.right - area.left + 2, area.bottom - area.top + 3);
    context.clip();
    if (spec.stack) this.drawStack(context, series, x, y);
    else this.drawLines(context, series, x, y);
    context.restore();
    this.drawMarks(context, area, x);
    this.drawCursor(context, area, x, series, y);
    this.drawLegend(series);
  }

  scale(series) {
    const { spec, group } = this;
    let low = Infinity;
    let high = 0;
    for (const point of group.points) {
      let stacked = 0;
      for (const each of series) {
        const value = each.value(point);
        if (value == null) continue;
        stacked += value;
        high = Math.max(high, spec.stack ? stacked : value);
        if (value > 0) low = Math.min(low, value);
      }
    }
    if (spec.most_value) high = Math.max(high, spec.most_value);
    if (spec.log && high > 0) {
      const bottom = Math.floor(Math.log10(low) * 1.0001);
      const top = Math.max(bottom + 1, Math.ceil(Math.log10(high)));
      const ticks = [];
      for (let power = bottom; power <= top; power += 1) ticks.push(10 ** power);
      return {
        ticks,
        place: (value) => (Math.log10(Math.max(value, 10 ** bottom)) - bottom) / (top - bottom),
      };
    }
    const top = high || 1;
    const rough = top / 3;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
    const ticks = [];
    for (let tick = 0; tick <= top * 1.0001; tick += step) ticks.push(tick);
    const limit = Math.max(top * 1.04, ticks[ticks.length - 1]);
    return { ticks, place: (value) => value / limit };
  }

  drawGrid(context, area, scale, x, y) {
    context.font = `11px ${colour("font")}`;
    context.strokeStyle = colour("line");
    context.fillStyle = colour("text-faint");
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (const tick of scale.ticks) {
      const at = Math.round(y(tick)) + 0.5;
      context.beginPath();
      context.moveTo(area.left, at);
      context.lineTo(area.right, at);
      context.stroke();
      context.fillText(this.format(tick), area.left - 6, at);
    }
    context.textBaseline = "top";
    const seconds = niceSeconds(this.group.end / Math.max(2, (area.right - area.left) / 90));
    for (let t = 0; t <= this.group.end * 1.0001; t += seconds) {
      const at = x(t);
      context.textAlign = t === 0 ? "left" : at > area.right - 16 ? "right" : "center";
      context.fillText(axisTime(t), at, area.bottom + 7);
    }
  }

  drawLines(context, series, x, y) {
    series.forEach((each, place) => {
      context.strokeStyle = colour(each.colour);
      context.fillStyle = colour(each.colour);
      context.lineWidth = each.width || 1.6;
      context.setLineDash(each.dash || (this.spec.series ? [] : DASHES[place % DASHES.length]));
      context.lineJoin = "round";
      context.beginPath();
      let before = null;
      const lone = [];
      const points = this.group.points;
      points.forEach((point, number) => {
        const value = each.value(point);
        if (value == null) {
          before = null;
          return;
        }
        const after = points[number + 1];
        if (before == null) {
          context.moveTo(x(point.t), y(value));
          if (!after || each.value(after) == null) lone.push([x(point.t), y(value)]);
        } else context.lineTo(x(point.t), y(value));
        before = value;
      });
      context.stroke();
      context.setLineDash([]);
      for (const [left, top] of lone) {
        context.beginPath();
        context.arc(left, top, 1.6, 0, 7);
        context.fill();
      }
    });
  }

  drawStack(context, series, x, y) {
    const points = this.group.points;
    if (!points.length) return;
    let floor = points.map(() => 0);
    series.forEach((each, place) => {
      const ceiling = points.map((point, number) => floor[number] + (each.value(point) || 0));
      context.beginPath();
      const step = points.length > 1 ? points[1].t - points[0].t : points[0].t;
      // Steps, not slopes: a count is what it is until the next look.
      let left = x(Math.max(0, points[0].t - step));
      context.moveTo(left, y(floor[0]));
      points.forEach((point, number) => {
        context.lineTo(left, y(ceiling[number]));
        left = x(point.t);
        context.lineTo(left, y(ceiling[number]));
      });
      for (let number = points.length - 1; number >= 0; number -= 1) {
        context.lineTo(left, y(floor[number]));
        left = x(number ? points[number - 1].t : Math.max(0, points[0].t - step));
        context.lineTo(left, y(floor[number]));
      }
      context.closePath();
      context.fillStyle = colour(each.colour);
      context.globalAlpha = 0.85;
      context.fill();
      context.globalAlpha = 1;
      if (place) {
        context.strokeStyle = colour("panel");
        context.lineWidth = 0.75;
        context.stroke();
      }
      floor = ceiling;
    });
  }

  drawMarks(context, area, x) {
    for (const mark of this.group.marks) {
      if (mark.t == null || mark.t > this.group.end) continue;
      const at = Math.round(x(mark.t)) + 0.5;
      context.strokeStyle = colour(mark.done ? "text-soft" : "line-strong");
      context.fillStyle = colour(mark.bad ? "bad" : mark.done ? "text-soft" : "line-strong");
      context.lineWidth = 1;
      context.setLineDash([2, 3]);
      context.beginPath();
      context.moveTo(at, area.top);
      context.lineTo(at, area.bottom);
      context.stroke();
      context.setLineDash([]);
      context.beginPath();
      context.moveTo(at - 4, area.bottom + 5);
      context.lineTo(at + 4, area.bottom + 5);
      context.lineTo(at, area.bottom);
      context.fill();
    }
  }

  drawCursor(context, area, x, series, y) {
    const { cursor, moment } = this.group;
    if (moment != null) {
      context.strokeStyle = colour("accent");
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(x(moment), area.top);
      context.lineTo(x(moment), area.bottom);
      context.stroke();
    }
    const point = cursor == null ? null : this.group.point(cursor);
    if (!point) return;
    context.strokeStyle = colour("text");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x(point.t), area.top);
    context.lineTo(x(point.t), area.bottom);
    context.stroke();
    if (this.spec.stack) return;
    for (const each of series) {
      const value = each.value(point);
      if (value == null) continue;
      context.fillStyle = colour(each.colour);
      context.beginPath();
      context.arc(x(point.t), y(value), 3, 0, 7);
      context.fill();
    }
  }

  drawLegend(series) {
    const { cursor, moment } = this.group;
    const point = this.group.point(cursor ?? moment);
    const when = cursor != null && point ? `at ${clock(point.t)}: ` : "";
    const words = [];
    const items = series.map((each) => {
      const value = point ? each.value(point) : null;
      words.push(`${each.name} ${this.format(value)}`);
      const swatch = make("span", { class: this.spec.stack ? "swatch" : "swatch line" });
      swatch.style.background = colour(each.colour);
      return make("span", { class: "item" }, swatch, `${each.name} `, make("b", {}, this.format(value)));
    });
    const signature = when + words.join() + document.documentElement.dataset.theme;
    if (signature === this.signature) return;
    this.signature = signature;
    this.legend.replaceChildren(...items);
    this.canvas.setAttribute("aria-label", `${this.spec.title}, ${when}${words.join(", ") || "nothing yet"}. Arrow keys move through time.`);
    if (this.details.open) this.fillTable();
  }

  fillTable() {
    if (!this.details.open) return;
    const series = this.series();
    const points = this.group.points;
    const step = Math.max(1, Math.ceil(points.length / 30));
    const rows = points.filter((_, number) => number % step === 0);
    const head = make("tr", {}, make("th", { scope: "col" }, "time"),
      ...series.map((each) => make("th", { scope: "col", class: "number" }, each.name)));
    const body = make("tbody", {}, ...rows.map((point) => make("tr", {},
      make("th", { scope: "row" }, clock(point.t)),
      ...series.map((each) => make("td", { class: "number" }, this.format(each.value(point)))))));
    this.table.replaceChildren(make("caption", { class: "unseen" }, this.spec.title), make("thead", {}, head), body);
  }
}

function niceSeconds(rough) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  return steps.find((each) => each >= rough) || Math.ceil(rough / 86400) * 86400;
}

function axisTime(t) {
  if (t < 60) return `${Math.round(t)} s`;
  if (t < 3600) {
    const seconds = Math.round(t % 60);
    return seconds ? `${Math.floor(t / 60)}:${String(seconds).padStart(2, "0")}` : `${t / 60} min`;
  }
  const minutes = Math.round((t % 3600) / 60);
  return minutes ? `${Math.floor(t / 3600)}:${String(minutes).padStart(2, "0")} h` : `${t / 3600} h`;
}
