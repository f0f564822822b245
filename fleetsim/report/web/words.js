// Words: numbers as people read them, and elements made of text, never of markup.

const ENGLISH = new Intl.NumberFormat("en-US");

export const STATES = {
  unreached: "never had a success",
  connected: "in touch",
  degraded: "in touch, but fell back or is late",
  failing: "failing",
  stranded: "proved: no way back by itself",
  recovered: "back since a moment",
  asleep: "switched off",
};

export function whole(value) {
  return value == null ? "–" : ENGLISH.format(Math.round(value));
}

export function short(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  return trim(value);
}

function trim(value) {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return ENGLISH.format(Number(value.toFixed(digits)));
}

export function ms(value) {
  if (value == null) return "–";
  if (value >= 10_000) return `${Number((value / 1000).toFixed(1))} s`;
  if (value >= 1000) return `${Number((value / 1000).toFixed(2))} s`;
  if (value >= 100) return `${value.toFixed(0)} ms`;
  return `${Number(value.toPrecision(3))} ms`;
}

export function bytes(value) {
  if (value == null) return "–";
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= size) return `${trim(value / size)} ${unit}`;
  }
  return `${Math.round(value)} B`;
}

export function clock(seconds) {
  if (seconds == null) return "–";
  const all = Math.max(0, seconds);
  if (all < 10) return `${Number(all.toFixed(1))} s`;
  const left = Math.round(all);
  const hours = Math.floor(left / 3600);
  const minutes = Math.floor((left % 3600) / 60);
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  if (minutes) return `${minutes} min ${String(left % 60).padStart(2, "0")} s`;
  return `${left} s`;
}

export function percent(part, total) {
  if (!total) return "–";
  const share = (100 * part) / total;
  if (part && share < 0.1) return "< 0.1 %";
  if (part < total && share > 99.9) return "> 99.9 %";
  return `${Number(share.toFixed(share < 10 || share > 99 ? 1 : 0))} %`;
}

export function sum(counts) {
  return Object.values(counts || {}).reduce((total, count) => total + count, 0);
}

export function plural(count, word) {
  return `${whole(count)} ${word}${count === 1 ? "" : "s"}`;
}

// An element with attributes and children; strings become text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

// Fills a table; the first column is text, the others are figures unless `texts` says so.
export function fillTable(table, caption, columns, rows, texts = []) {
  const isText = (place) => place === 0 || texts.includes(place);
  const head = make("tr");
  columns.forEach((name, place) =>
    head.append(make("th", { scope: "col", class: isText(place) ? "" : "number" }, name)));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, place) => {
      const tag = place === 0 ? "th" : "td";
      line.append(make(tag, { scope: place === 0 ? "row" : null, class: isText(place) ? "" : "number" }, cell));
    });
    body.append(line);
  }
  table.replaceChildren(make("caption", { class: "unseen" }, caption), make("thead", {}, head), body);
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
