// Fleet: the map of all devices, one cell each, or one cell for a few of them.
//
// A state is a colour and a shape. Only cells that changed are drawn again, so that
// 10,000 devices cost what happens to them. Every layer keeps its changes, so the map can
// show any moment.

import { clock, colour, plural, STATES, whole } from "./words.js";

const WORST = ["connected", "asleep", "recovered", "unreached", "degraded", "failing", "stranded"];
const LABEL = 17;
const GAP_BELOW = 8;
const MOST_BANDS = 14;

export class Layer {
  constructor(data, devices) {
    this.devices = devices;
    this.names = data.names;
    this.base = Uint8Array.from(data.base.length ? data.base : new Uint8Array(devices));
    this.base_s = data.base_s;
    this.batches = data.batches;
    this.now = this.at(Infinity);
  }

  add(batch, names) {
    this.names = names;
    this.batches.push(batch);
    for (let place = 0; place < batch[1].length; place += 1) this.now[batch[1][place]] = batch[2][place];
  }

  at(moment) {
    const codes = Uint8Array.from(this.base);
    for (const [t, indexes, values] of this.batches) {
      if (t > moment) break;
      for (let place = 0; place < indexes.length; place += 1) codes[indexes[place]] = values[place];
    }
    return codes;
  }

  history(index) {
    const found = [];
    for (const [t, indexes, values] of this.batches) {
      const place = indexes.indexOf(index);
      if (place >= 0) found.push({ t, code: values[place] });
    }
    return found;
  }
}

export class FleetMap {
  constructor(canvas, tip, onSelect) {
    this.canvas = canvas;
    this.tip = tip;
    this.onSelect = onSelect;
    this.context = canvas.getContext("2d");
    this.layers = {};
    this.layer = "state";
    this.moment = null;
    this.only = new Set();
    this.cohorts = [];
    this.ids = "";
    this.devices = 0;
    this.cursor = -1;
    this.selected = -1;
    this.codes = new Uint8Array(0);
    this.bands = [];
    this.size = 0;
    new ResizeObserver(() => this.layout()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    canvas.addEventListener("pointermove", (event) => this.hover(this.deviceAt(event), event));
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("click", (event) => this.select(this.deviceAt(event)));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("focus", () => this.setCursor(this.cursor < 0 ? 0 : this.cursor, true));
    canvas.addEventListener("blur", () => this.hover(-1));
  }

  load(run, layers) {
    this.devices = run.devices;
    this.ids = run.ids;
    let first = 0;
    this.cohorts = run.cohorts.map((each) => {
      const cohort = { name: each.name, first, count: each.devices };
      first += each.devices;
      return cohort;
    });
    this.layers = Object.fromEntries(Object.entries(layers).map(([name, data]) => [name, new Layer(data, run.devices)]));
    this.layout();
  }

  id(index) {
    return this.ids.slice(index * 8, index * 8 + 8).trim();
  }

  find(text) {
    const wanted = text.toUpperCase();
    for (let index = 0; index < this.devices; index += 1) {
      if (this.id(index).startsWith(wanted)) return index;
    }
    return -1;
  }

  cohortOf(index) {
    return this.cohorts.find((each) => index >= each.first && index < each.first + each.count);
  }

  setLayer(name) {
    this.layer = name;
    this.only.clear();
    this.refresh();
  }

  setMoment(moment) {
    this.moment = moment;
    this.refresh();
  }

  toggleOnly(code) {
    if (this.only.has(code)) this.only.delete(code);
    else this.only.add(code);
    this.redraw();
  }

  update(changes) {
    let isShown = false;
    for (const [name, { names, batch }] of Object.entries(changes)) {
      const layer = this.layers[name];
      if (!layer) continue;
      const hasNewNames = names.length !== layer.names.length;
      layer.add(batch, names);
      if (name !== this.layer || this.moment != null) continue;
      isShown = true;
      if (hasNewNames) this.refresh();
      else for (const index of batch[1]) this.change(index, layer.now[index]);
    }
    return isShown;
  }

  change(index, code) {
    this.codes[index] = code;
    if (!this.size) return;
    this.drawCell(Math.floor(index / this.each) * this.each);
  }

  refresh() {
    const layer = this.layers[this.layer];
    if (!layer) return;
    this.codes = this.moment == null ? Uint8Array.from(layer.now) : layer.at(this.moment);
    this.redraw();
  }

  counts() {
    const layer = this.layers[this.layer];
    const counts = new Array(layer ? layer.names.length : 0).fill(0);
    for (const code of this.codes) counts[code] += 1;
    return counts;
  }

  // What a code means: words, colour, shape.
  style(code) {
    const layer = this.layers[this.layer];
    const name = layer ? layer.names[code] : "";
    if (this.layer === "state") {
      return { name, words: STATES[name] || "", colour: colour(`state-${name}`), shape: name };
    }
    if (this.layer === "group") {
      return name
        ? { name, words: "", colour: colour(`series-${((code - 1) % 8) + 1}`), shape: "mark", mark: markOf(name, code) }
        : { name: "none yet", words: "", colour: colour("state-unreached"), shape: "unreached" };
    }
    return name && name.number
      ? {
          name: bundleName(name),
          words: "",
          colour: colour(`series-${((name.number - 1) % 8) + 1}`),
          shape: "mark",
          mark: String(name.number),
        }
      : { name: "no bundle", words: "", colour: colour("state-unreached"), shape: "unreached" };
  }

  // ---------------------------------------------------------------- layout

  layout() {
    if (!this.devices) return;
    const width = this.canvas.parentElement.clientWidth;
    if (!width) return;
    const most = Math.max(220, Math.min(430, Math.round(innerHeight * 0.48)));
    const banded = this.cohorts.length <= MOST_BANDS ? this.cohorts : [{ name: "", first: 0, count: this.devices }];
    let fitted = null;
    for (let each = 1; !fitted; each *= 2) {
      for (let size = this.devices <= 400 ? 30 : 22; size >= 4 && !fitted; size -= 1) fitted = this.fit(banded, width, size, each, most);
    }
    Object.assign(this, fitted);
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.sprites = null;
    this.refresh();
  }

  fit(cohorts, width, size, each, most) {
    const columns = Math.max(1, Math.floor(width / size));
    let top = 0;
    const bands = cohorts.filter((cohort) => cohort.count).map((cohort) => {
      const cells = Math.ceil((cohort.first + cohort.count) / each) - Math.floor(cohort.first / each);
      const band = { ...cohort, top: top + (cohort.name ? LABEL : 0), rows: Math.ceil(cells / columns), cells };
      top = band.top + band.rows * size + GAP_BELOW;
      return band;
    });
    return top <= most ? { bands, columns, size, each, height: top } : null;
  }

  bandOf(index) {
    return this.bands.find((band) => index >= band.first && index < band.first + band.count);
  }

  place(index) {
    const band = this.bandOf(index);
    if (!band) return null;
    const cell = Math.floor(index / this.each) - Math.floor(band.first / this.each);
    return { left: (cell % this.columns) * this.size, top: band.top + Math.floor(cell / this.columns) * this.size };
  }

  deviceAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const left = event.clientX - box.left;
    const top = event.clientY - box.top;
    const band = this.bands.find((each) => top >= each.top && top < each.top + each.rows * this.size);
    const column = Math.floor(left / this.size);
    if (!band || column < 0 || column >= this.columns) return -1;
    const cell = Math.floor((top - band.top) / this.size) * this.columns + column;
    if (cell >= band.cells) return -1;
    return Math.max(band.first, (Math.floor(band.first / this.each) + cell) * this.each);
  }

  // ---------------------------------------------------------------- drawing

  redraw() {
    if (!this.size || this.isWaiting) return;
    this.isWaiting = true;
    requestAnimationFrame(() => {
      this.isWaiting = false;
      this.sprites = null;
      this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.context.font = `12px ${colour("font")}`;
      this.context.textBaseline = "top";
      for (const band of this.bands) {
        if (band.name) {
          this.context.fillStyle = colour("text-soft");
          const of = this.each > 1 ? `, a cell is ${this.each} devices, the worst shows` : "";
          this.context.fillText(`${band.name}  ${whole(band.count)}${of}`, 0, band.top - LABEL + 1);
        }
        const end = band.first + band.count;
        for (let index = band.first; index < end; index = (Math.floor(index / this.each) + 1) * this.each) this.drawCell(index);
      }
      this.drawRing();
    });
  }

  shown(index) {
    if (this.each === 1) return this.codes[index];
    const begin = Math.floor(index / this.each) * this.each;
    const end = Math.min(this.devices, begin + this.each);
    const names = this.layers[this.layer].names;
    let found = this.codes[begin];
    let rank = -1;
    for (let place = begin; place < end; place += 1) {
      const code = this.codes[place];
      if (this.only.size && !this.only.has(code)) continue;
      const worse = this.layer === "state" ? WORST.indexOf(names[code]) : code;
      if (worse > rank) {
        rank = worse;
        found = code;
      }
    }
    return found;
  }

  drawCell(index) {
    const place = this.place(index);
    if (!place) return;
    const code = this.shown(index);
    this.context.clearRect(place.left, place.top, this.size, this.size);
    const sprite = this.sprite(code);
    const isFaint = this.only.size > 0 && !this.only.has(code);
    if (isFaint) this.context.globalAlpha = 0.14;
    this.context.drawImage(sprite, place.left, place.top, this.size, this.size);
    this.context.globalAlpha = 1;
  }

  sprite(code) {
    this.sprites ||= new Map();
    let sprite = this.sprites.get(code);
    if (!sprite) {
      const ratio = devicePixelRatio || 1;
      sprite = document.createElement("canvas");
      sprite.width = sprite.height = Math.round(this.size * ratio);
      const context = sprite.getContext("2d");
      context.scale(sprite.width / this.size, sprite.height / this.size);
      drawShape(context, this.size, this.style(code));
      this.sprites.set(code, sprite);
    }
    return sprite;
  }

  drawRing() {
    for (const [index, name] of [[this.selected, "text"], [this.cursor, "focus"]]) {
      const place = index >= 0 ? this.place(index) : null;
      if (!place) continue;
      this.context.strokeStyle = colour(name);
      this.context.lineWidth = 2;
      this.context.strokeRect(place.left, place.top, this.size - 1, this.size - 1);
    }
  }

  // ---------------------------------------------------------------- people

  describe(index) {
    const layer = this.layers[this.layer];
    const style = this.style(this.codes[index]);
    const until = this.moment ?? Infinity;
    const last = layer.history(index).filter((each) => each.t <= until).pop();
    const since = last ? ` since ${clock(last.t)}` : "";
    return `${this.id(index)}, ${this.cohortOf(index)?.name ?? ""}: ${style.name}${since}`;
  }

  hover(index, event) {
    if (index < 0 || !this.layers[this.layer]) {
      this.tip.hidden = true;
      if (document.activeElement !== this.canvas && this.cursor >= 0) {
        this.cursor = -1;
        this.redraw();
      }
      return;
    }
    const lines = [this.describe(index)];
    if (this.each > 1) lines.push(`and ${plural(Math.min(this.each, this.devices - index) - 1, "neighbour")}`);
    if (!event) lines.push("Enter: history");
    else lines.push("click: history");
    this.tip.replaceChildren(...lines.map((line) => Object.assign(document.createElement("div"), { textContent: line })));
    this.tip.hidden = false;
    const place = this.place(index);
    const box = this.canvas.parentElement;
    const left = Math.min(place.left + this.size + 6, box.clientWidth - this.tip.offsetWidth - 4);
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${place.top + this.size + 6}px`;
  }

  setCursor(index, isSpoken) {
    if (!this.devices) return;
    this.cursor = Math.min(this.devices - 1, Math.max(0, index));
    this.redraw();
    this.hover(this.cursor);
    if (isSpoken) document.getElementById("spoken").textContent = this.describe(this.cursor);
  }

  select(index) {
    if (index < 0) return;
    this.selected = index;
    this.redraw();
    this.onSelect(index);
  }

  deselect() {
    this.selected = -1;
    this.redraw();
  }

  onKey(event) {
    const row = this.columns * this.each;
    const steps = { ArrowLeft: -this.each, ArrowRight: this.each, ArrowUp: -row, ArrowDown: row };
    let next = null;
    if (event.key in steps) next = this.cursor + steps[event.key];
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = this.devices - 1;
    else if (event.key === "PageDown" || event.key === "PageUp") {
      const here = this.cohorts.indexOf(this.cohortOf(this.cursor));
      const there = this.cohorts[here + (event.key === "PageDown" ? 1 : -1)];
      if (there) next = there.first;
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.select(this.cursor);
      return;
    } else if (event.key === "Escape") this.tip.hidden = true;
    if (next == null) return;
    event.preventDefault();
    this.setCursor(next, true);
  }
}

export function bundleName(bundle) {
  if (!bundle || !bundle.number) return "no bundle";
  return `#${bundle.number} · ${plural(bundle.certificates, "certificate")} · ${bundle.fingerprint.slice(0, 6)}`;
}

// The digit a group's name ends with, else its place.
function markOf(name, code) {
  const digits = /(\d+)$/.exec(name);
  return digits ? digits[1].slice(-2) : String(code);
}

// Colour is never alone: each state has its own figure inside the cell.
export function drawShape(context, size, style) {
  const gap = size >= 6 ? 1.5 : 1;
  const inner = size - gap;
  context.fillStyle = style.colour;
  context.strokeStyle = style.colour;
  const ink = colour("panel");
  switch (style.shape) {
    case "unreached": {
      context.lineWidth = Math.max(1, size / 9);
      const half = context.lineWidth / 2;
      context.strokeRect(half, half, inner - context.lineWidth, inner - context.lineWidth);
      return;
    }
    case "asleep": {
      context.beginPath();
      context.arc(inner / 2, inner / 2, Math.max(1, inner / 4.5), 0, 7);
      context.fill();
      return;
    }
    default:
      context.fillRect(0, 0, inner, inner);
  }
  context.fillStyle = ink;
  context.strokeStyle = ink;
  context.lineWidth = Math.max(1, size / 8);
  switch (style.shape) {
    case "degraded":
      context.fillRect(0, inner - Math.max(1, inner * 0.38), inner * 0.5, Math.max(1, inner * 0.38));
      break;
    case "failing":
      context.beginPath();
      context.moveTo(0, inner);
      context.lineTo(inner, 0);
      context.stroke();
      break;
    case "stranded":
      context.beginPath();
      context.moveTo(inner * 0.22, inner * 0.22);
      context.lineTo(inner * 0.78, inner * 0.78);
      context.moveTo(inner * 0.78, inner * 0.22);
      context.lineTo(inner * 0.22, inner * 0.78);
      context.stroke();
      break;
    case "recovered":
      context.beginPath();
      context.arc(inner / 2, inner / 2, Math.max(1, inner / 5), 0, 7);
      context.fill();
      break;
    case "mark":
      if (size < 12) break;
      context.font = `600 ${Math.round(size * 0.58)}px ${colour("font")}`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.fillText(style.mark, inner / 2, inner / 2 + 0.5);
      break;
    default:
  }
}
