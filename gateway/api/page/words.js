// How numbers, times and places are written; what is missing is a dash, never 0.

import { has, say } from "./messages.js";

export const MISSING = "—";

let timezone;

export function setTimezone(name) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    timezone = name;
  } catch {
    timezone = undefined; // the browser's own
  }
}

// A duration in the two words that matter, from seconds.
export function span(seconds) {
  if (seconds === null || seconds === undefined) return MISSING;
  const s = Math.max(0, Math.floor(seconds));
  if (s < 100) return `${s} s`;
  if (s < 6000) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// Mine time; with its offset where `offset` is asked for; the day only if it is not today's.
export function clock(iso, { offset = false, today = null } = {}) {
  if (!iso) return MISSING;
  const at = new Date(iso);
  const write = (options) => new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, ...options }).format(at);
  const day = write({ dateStyle: "short" });
  const time = write({ timeStyle: "medium" });
  const same = today && new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, dateStyle: "short" })
    .format(new Date(today)) === day;
  return (same ? time : `${day} ${time}`) + (offset ? ` ${offsetName(at)}` : "");
}

function offsetName(at) {
  const parts = new Intl.DateTimeFormat("en", { timeZone: timezone, timeZoneName: "shortOffset" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
}

const UNITS = { degC: "°C", m3: "m³", "m3/s": "m³/s", "0/1": "" };

export function unit(name) {
  return UNITS[name] ?? name;
}

// A value as people read it: a word for a switch, digits fixed per gas otherwise.
export function value(number, quantity, decimals) {
  if (number === null || number === undefined) return MISSING;
  if (has(`word.${quantity}`)) {
    const [zero, one] = say(`word.${quantity}`).split("|");
    if (number === 0) return zero;
    if (number === 1) return one;
  }
  return number.toFixed(decimals);
}

export function valueWithUnit(reading, quantity, decimals) {
  if (!reading || reading.value === null) return MISSING;
  const text = [value(reading.value, quantity, decimals), unit(reading.unit)].join(" ").trim();
  return reading.usable || reading.quality === "OVER_RANGE" ? text : `[${text}]`;
}

// "≥ 1.00 %vol"; for a switch "= stopped".
export function limit(row, point) {
  if (row.op === null) return row.condition;
  const switched = has(`word.${point.quantity}`);
  if (switched) return `= ${value(row.op.startsWith(">") ? 1 : 0, point.quantity, 0)}`;
  const sign = { ">=": "≥", "<=": "≤" }[row.op] ?? row.op;
  return `${sign} ${row.limit.toFixed(point.decimals)} ${unit(point.unit)}`;
}

// What is measured, in the reader's language.
export function quantity(point) {
  return has(`q.${point.quantity}`) ? say(`q.${point.quantity}`) : point.label;
}

// The description without the quantity that it begins with, if it does.
export function place(point) {
  const name = quantity(point);
  const rest = point.description.slice(name.length);
  const begins = point.description.toLowerCase().startsWith(name.toLowerCase());
  return begins && /^[,: ]/.test(rest) ? rest.replace(/^[,: ]+/, "") : point.description;
}

export function consequence(row) {
  const demands = row.demands.map((d) => d.demand).filter((d) => d !== "SOUND");
  return demands.length ? demands.map((d) => say(`demand.${d}`)).join(" + ") : say(`level.${row.level}`);
}

export function source(row) {
  const from = row.source;
  const checked = say("verified", { v: say(`v.${from.verified}`) });
  const parts = from.profile ? [from.profile, from.clause, from.edition, checked] : [say("own")];
  if (row.exemption) {
    parts.unshift(say("exempt", { date: row.exemption.expires, authority: row.exemption.authority }));
  }
  return parts.filter(Boolean).join(", ");
}
