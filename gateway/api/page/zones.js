// The zones of the mine and the points in them.

import { keyed, node, put } from "./draw.js";
import { mark, ofLevel, paint } from "./marks.js";
import { say } from "./messages.js";
import * as words from "./words.js";

const NARROW = matchMedia("(max-width: 1100px)");

export function zones(parent, list, points) {
  keyed(parent, list, (zone) => zone.id, makeZone, (box, zone) => {
    const label = say(`level.${zone.level}`);
    // What becomes abnormal opens by itself; otherwise it stays as the reader left it.
    if (zone.priority && box.dataset.priority !== zone.priority) box.open = true;
    box.dataset.priority = zone.priority;
    box.className = `zone priority-${zone.priority || "none"}`;
    paint(box.querySelector(".mark"), zone.priority, label);
    put(box.querySelector("h3"), zone.name || zone.id);
    // "Normal" beside "leave" would be read wrongly at three in the morning.
    const elsewhere = zone.level === "NORMAL" && zone.demands.length > 0;
    put(box.querySelector(".level"), elsewhere ? say("zone.elsewhere") : label);
    put(box.querySelector(".demands"), zone.demands.map((d) => say(`demand.${d}`)).join(" + "));
    const unusable = zone.unusable_points.length;
    put(box.querySelector(".unusable"), unusable ? say("unusable.n", { n: unusable, points: zone.points }) : "");
    keyed(box.querySelector("ul"), points.filter((p) => p.zone === zone.id && worthARow(p)), (p) => p.id, makePoint, changePoint);
  });
}

// That an output obeys stands in the table of outputs; here only that it does not.
function worthARow(point) {
  return point.quantity !== "agreement" || point.value !== 1 || !point.usable;
}

function makeZone() {
  const box = node("details");
  box.open = !NARROW.matches;
  const head = node("summary");
  head.append(mark("", ""), node("h3"), node("span", "level"), node("span", "demands"), node("span", "unusable"));
  box.append(head, node("ul"));
  return box;
}

function makePoint(point) {
  const li = node("li");
  const what = node("span", "what");
  what.append(node("b", "name"), node("span", "place"), node("code", "", point.id));
  const number = node("span", "number");
  number.append(node("b", "value"), node("span", "unit"));
  li.append(mark("", ""), what, bar(point), number, node("span", "quality"), node("span", "age"));
  const rules = point.rules.filter((r) => r.kind === "limit" || r.kind === "trend");
  if (rules.length) {
    const limits = node("details", "limits");
    const sources = node("ul");
    sources.append(...rules.map((r) => Object.assign(node("li"), { rule: r })));
    limits.append(node("summary"), sources);
    li.append(limits);
  }
  return li;
}

// The limits in one line; their sources open beneath.
function limitWords(rules, point) {
  const shown = rules.filter((r) => r.kind === "limit");
  return shown.map((r) => `${words.limit(r, point)} ${words.consequence(r)}`).join(" · ");
}

function changePoint(li, point) {
  // Over its range is as dangerous as it looks: it is not dimmed like what is merely doubtful.
  const trusted = point.usable || point.quality === "OVER_RANGE";
  li.className = `point ${trusted ? "" : "untrusted"} level-${point.level}`;
  paint(li.querySelector(".mark"), ofLevel(point.level), say(`level.${point.level}`));
  put(li.querySelector(".name"), words.quantity(point));
  put(li.querySelector(".place"), words.place(point));
  const text = words.value(point.value, point.quantity, point.decimals);
  put(li.querySelector(".value"), point.value === null || trusted ? text : `[${text}]`);
  put(li.querySelector(".unit"), point.value === null ? "" : words.unit(point.unit));
  put(li.querySelector(".quality"), point.quality === "GOOD" ? "" : say(`quality.${point.quality}`));
  put(li.querySelector(".age"), say("age", { s: words.span(point.age_s) }));
  const limits = li.querySelector(".limits");
  if (limits) {
    put(limits.firstChild, limitWords(point.rules, point));
    limits.classList.toggle("exempt", point.rules.some((r) => r.exemption));
    for (const one of limits.lastChild.children) {
      put(one, `${words.limit(one.rule, point)} ${words.consequence(one.rule)}: ${words.source(one.rule)}`);
    }
  }
  moveBar(li.querySelector(".scale"), point);
}

// The value before the number: where it stands between the limits. From 0, or from the lowest limit.
function bar(point) {
  const scale = node("span", "scale");
  scale.setAttribute("aria-hidden", "true");
  const limits = point.rules.filter((r) => r.op !== null).map((r) => r.limit);
  if (!limits.length || point.unit === "0/1") return scale;
  const low = Math.min(0, ...limits);
  const high = Math.max(...limits.map((l) => l * 1.25), low + 1e-9);
  Object.assign(scale.dataset, { low, high });
  scale.append(node("i", "fill"));
  for (const rule of point.rules.filter((r) => r.op !== null)) {
    const tick = node("i", "tick");
    tick.style.left = `${percent(rule.limit, low, high)}%`;
    scale.append(tick);
  }
  return scale;
}

function percent(number, low, high) {
  return Math.max(0, Math.min(100, ((number - low) / (high - low)) * 100));
}

function moveBar(scale, point) {
  const fill = scale.querySelector(".fill");
  if (!fill) return;
  fill.hidden = point.value === null;
  const at = percent(point.value ?? 0, Number(scale.dataset.low), Number(scale.dataset.high));
  fill.style.width = `${Math.max(1, at)}%`;
}

