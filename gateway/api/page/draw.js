// From answers of the API to elements. Elements are kept and changed, so that focus, scrolling
// and the flashing of what is not acknowledged go on undisturbed.

import { mark, ofLevel, paint } from "./marks.js";
import { say } from "./messages.js";
import * as words from "./words.js";

export function node(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Make the children of `parent` those of `items`, in order; `make` once, `change` each time.
export function keyed(parent, items, key, make, change) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, place) => {
    const name = key(item);
    let child = old.get(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    old.delete(name);
    change(child, item);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  old.forEach((child) => child.remove());
}

function row(columns) {
  const tr = node("tr");
  for (const column of columns) {
    const td = node("td", column);
    td.dataset.column = column;
    tr.append(td);
  }
  return tr;
}

function cell(tr, column) {
  return tr.querySelector(`[data-column="${column}"]`);
}

export function heads(table, columns) {
  table.querySelector("thead tr").replaceChildren(...columns.map((c) => {
    const th = node("th", c, say(`col.${c}`));
    th.scope = "col";
    return th;
  }));
  for (const td of table.querySelectorAll("td")) td.dataset.label = say(`col.${td.dataset.column}`);
}

// --- zones and their points --------------------------------------------------------------------

export function zones(parent, list, points) {
  keyed(parent, list, (zone) => zone.id, makeZone, (article, zone) => {
    article.className = `zone priority-${zone.priority || "none"}`;
    const label = say(`level.${zone.level}`);
    paint(article.querySelector(".mark"), zone.priority, label);
    put(article.querySelector("h3"), zone.name || zone.id);
    put(article.querySelector(".level"), label);
    put(article.querySelector(".demands"), zone.demands.map((d) => say(`demand.${d}`)).join(" + "));
    const unusable = zone.unusable_points.length;
    put(article.querySelector(".unusable"), unusable ? say("unusable.n", { n: unusable, points: zone.points }) : "");
    const mine = points.filter((p) => p.zone === zone.id);
    keyed(article.querySelector("ul"), mine, (p) => p.id, makePoint, changePoint);
  });
}

function makeZone() {
  const article = node("article");
  const head = node("header");
  head.append(mark("", ""), node("h3"), node("span", "level"), node("span", "demands"), node("span", "unusable"));
  article.append(head, node("ul"));
  return article;
}

function makePoint(point) {
  const li = node("li");
  const what = node("span", "what");
  what.append(node("span", "name"), node("code", "", point.id));
  const number = node("span", "number");
  number.append(node("b", "value"), node("span", "unit"));
  li.append(mark("", ""), what, bar(point), number, node("span", "quality"), node("span", "age"));
  const limits = node("span", "limits");
  for (const one of point.rules.filter((r) => r.kind === "limit")) {
    const text = node("span", one.exemption ? "exempt" : "");
    text.dataset.rule = one.id;
    limits.append(text);
  }
  li.append(limits);
  return li;
}

function changePoint(li, point) {
  const trusted = point.usable;
  li.className = `point ${trusted ? "" : "untrusted"} level-${point.level}`;
  paint(li.querySelector(".mark"), ofLevel(point.level), say(`level.${point.level}`));
  put(li.querySelector(".name"), point.description || point.label);
  const text = words.value(point.value, point.quantity, point.decimals);
  const shown = point.value === null || trusted ? text : `[${text}]`;
  put(li.querySelector(".value"), shown);
  put(li.querySelector(".unit"), point.value === null ? "" : words.unit(point.unit));
  put(li.querySelector(".quality"), point.quality === "GOOD" ? "" : say(`quality.${point.quality}`));
  put(li.querySelector(".age"), say("age", { s: words.span(point.age_s) }));
  for (const span of li.querySelectorAll(".limits > span")) {
    const rule = point.rules.find((r) => r.id === span.dataset.rule);
    const doubt = rule.source.profile && rule.source.verified !== "yes" ? ` (${say("unverified")})` : "";
    put(span, `${words.limit(rule, point)} ${words.consequence(rule)}${doubt}`);
    span.title = words.source(rule);
  }
  moveBar(li.querySelector(".scale"), point);
}

// The value before the number: where it stands between the limits.
function bar(point) {
  const scale = node("span", "scale");
  scale.setAttribute("aria-hidden", "true");
  const limits = point.rules.filter((r) => r.op !== null).map((r) => r.limit);
  if (!limits.length || point.unit === "0/1") return scale;
  const low = Math.min(0, ...limits.map((l) => l * 1.25), Math.max(point.range_low ?? 0, -1e9) < 0 ? -Math.max(...limits) : 0);
  const high = Math.max(...limits.map((l) => l * 1.25), low + 1e-9);
  Object.assign(scale.dataset, { low, high });
  scale.append(node("i", "fill"));
  for (const rule of point.rules.filter((r) => r.op !== null)) {
    const tick = node("i", `tick level-${rule.level}`);
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
  const [low, high] = [Number(scale.dataset.low), Number(scale.dataset.high)];
  fill.hidden = point.value === null;
  const zero = percent(0, low, high);
  const at = percent(point.value ?? 0, low, high);
  fill.style.left = `${Math.min(zero, at)}%`;
  fill.style.width = `${Math.max(1, Math.abs(at - zero))}%`;
}

// --- alarms ------------------------------------------------------------------------------------

export const ALARM_COLUMNS = ["mark", "state", "since", "place", "what", "at", "now", "limit", "source", "ack", "guidance"];

export function alarms(body, list, now) {
  keyed(body, list, (alarm) => alarm.id, () => {
    const tr = row(ALARM_COLUMNS);
    cell(tr, "mark").append(mark("", ""));
    return tr;
  }, (tr, alarm) => changeAlarm(tr, alarm, now));
}

function changeAlarm(tr, alarm, now) {
  const aside = alarm.state === "SHELVED" || alarm.state === "OUT_OF_SERVICE";
  tr.className = `alarm state-${alarm.state} priority-${alarm.priority}`;
  paint(tr.querySelector(".mark"), aside ? "O" : alarm.priority, say(`level.${alarm.level}`));
  const notes = [];
  if (!alarm.committed) notes.push(say("uncommitted"));
  if (aside && alarm.until) notes.push(say("until", { time: words.clock(alarm.until, { today: now }) }));
  put(cell(tr, "state"), [say(`state.${alarm.state}`), ...notes].join("; "));
  put(cell(tr, "since"), `${words.clock(alarm.since, { today: now })} (${words.span(alarm.age_s)})`);
  put(cell(tr, "place"), alarm.zone === "all" ? say("all") : alarm.zone_name || alarm.zone);
  const thing = alarm.description || alarm.points.slice(0, 3).join(", ") || alarm.id;
  put(cell(tr, "what"), `${thing}: ${say(`kind.${alarm.kind}`)}`);
  const unit = alarm.now ? alarm.now.unit : "";
  const at = alarm.value_at_alarm;
  const then = at === null ? null : { value: at, unit, usable: true };
  put(cell(tr, "at"), words.valueWithUnit(then, alarm.quantity, alarm.decimals));
  put(cell(tr, "now"), nowText(alarm));
  const asPoint = { quantity: alarm.quantity, decimals: alarm.decimals, unit };
  put(cell(tr, "limit"), alarm.limit ? `${words.limit(alarm.limit, asPoint)} ${words.consequence(alarm.limit)}` : words.MISSING);
  put(cell(tr, "source"), alarm.limit ? words.source(alarm.limit) : words.MISSING);
  put(cell(tr, "ack"), alarm.ack ? `${alarm.ack.actor}, ${words.clock(alarm.ack.time, { today: now })}` : words.MISSING);
  put(cell(tr, "guidance"), alarm.guidance || words.MISSING);
}

function nowText(alarm) {
  if (!alarm.now) return words.MISSING;
  const text = words.valueWithUnit(alarm.now, alarm.quantity, alarm.decimals);
  return alarm.now.quality === "GOOD" ? text : `${text} ${say(`quality.${alarm.now.quality}`)}`;
}

// --- outputs, links, events ----------------------------------------------------------------------

export const OUTPUT_COLUMNS = ["mark", "output", "demand", "zones", "commanded", "readback", "feed", "since"];
const OF_DEMAND = { WITHDRAW: "1", CUT_POWER: "2", SOUND: "3", FAULT: "F" };

function onOff(state) {
  return state === null ? say("unknown") : say(state ? "on" : "off");
}

export function outputs(body, list, zoneNames, now) {
  keyed(body, list, (o) => o.id, () => {
    const tr = row(OUTPUT_COLUMNS);
    cell(tr, "mark").append(mark("", ""));
    return tr;
  }, (tr, o) => {
    tr.className = o.agrees === false ? "output disagrees" : o.agrees === null ? "output unknown" : "output";
    paint(tr.querySelector(".mark"), o.commanded || o.read_back ? OF_DEMAND[o.demand] : "", say(`demand.${o.demand}`));
    put(cell(tr, "output"), o.name || o.id);
    put(cell(tr, "demand"), say(`demand.${o.demand}`));
    put(cell(tr, "zones"), o.zones.map((z) => zoneNames.get(z) || z).join(", "));
    put(cell(tr, "commanded"), onOff(o.commanded));
    put(cell(tr, "readback"), onOff(o.read_back) + (o.agrees === false ? ` ${say("disagrees")}` : ""));
    put(cell(tr, "feed"), o.feed ? words.valueWithUnit(o.feed, "feed", 0) : words.MISSING);
    put(cell(tr, "since"), words.clock(o.since, { today: now }));
  });
}

export const LINK_COLUMNS = ["link", "state", "good", "errors", "reconnects", "last"];

export function links(body, list) {
  keyed(body, list, (link) => link.id, () => row(LINK_COLUMNS), (tr, link) => {
    tr.className = link.connected ? "" : "broken";
    put(cell(tr, "link"), `${link.id} (${link.kind})`);
    put(cell(tr, "state"), link.connected ? say("connected") : `${say("broken")}: ${link.last_error}`);
    put(cell(tr, "good"), `${link.good} / ${link.polls}`);
    put(cell(tr, "errors"), Object.entries(link.errors).filter(([, n]) => n).map(([kind, n]) => `${kind} ${n}`).join(", ") || "0");
    put(cell(tr, "reconnects"), String(link.reconnects));
    put(cell(tr, "last"), say("age", { s: words.span(link.last_good_age_s) }));
  });
}

export function events(list, rows, zoneNames, now) {
  keyed(list, rows, (e) => String(e.seq), () => node("li"), (li, e) => {
    const who = e.actor ? ` — ${e.actor}` : "";
    const about = e.rule || e.point || zoneNames.get(e.zone) || e.zone;
    const change = e.rule
      ? `${say(`state.${e.from_state}`)} → ${say(`state.${e.to_state}`)}`
      : `${say(`level.${e.from_level}`)} → ${say(`level.${e.to_level}`)} ${e.demands.map((d) => say(`demand.${d}`)).join(" + ")}`;
    put(li, `${words.clock(e.time, { today: now })}  ${about}: ${change}${e.reason ? ` (${e.reason})` : ""}${who}`);
  });
}
