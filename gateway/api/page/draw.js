// From answers of the API to elements. Elements are kept and changed, so that focus, scrolling
// and the flashing of what is not acknowledged go on undisturbed.

import { mark, paint } from "./marks.js";
import { say } from "./messages.js";
import * as words from "./words.js";

export function node(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

export function put(element, text) {
  if (element.textContent === text) return;
  element.textContent = text;
  if (element.tagName === "TD") element.classList.toggle("empty", text === words.MISSING);
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

// --- alarms ------------------------------------------------------------------------------------

export const ALARM_COLUMNS = ["sign", "state", "since", "place", "what", "now", "at", "limit", "guidance", "ack", "source"];

export function alarms(body, list, now) {
  keyed(body, list, (alarm) => alarm.id, () => {
    const tr = row(ALARM_COLUMNS);
    cell(tr, "sign").append(mark("", ""));
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
  put(cell(tr, "since"), `${words.clock(alarm.raised ?? alarm.since, { today: now })} (${words.span(alarm.age_s)})`);
  put(cell(tr, "place"), alarm.zone === "all" ? say("all") : alarm.zone_name || alarm.zone);
  put(cell(tr, "what"), whatText(alarm));
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

function whatText(alarm) {
  const point = { quantity: alarm.quantity, label: "", description: alarm.description };
  const happened = [words.quantity(point), say(`kind.${alarm.kind}`)].filter(Boolean).join(" ");
  const named = alarm.description ? `${words.place(point)} (${alarm.points[0]})` : alarm.points.slice(0, 3).join(", ");
  return named ? `${happened}: ${named}` : happened;
}

function nowText(alarm) {
  if (!alarm.now) return words.MISSING;
  const text = words.valueWithUnit(alarm.now, alarm.quantity, alarm.decimals);
  return alarm.now.quality === "GOOD" ? text : `${text} ${say(`quality.${alarm.now.quality}`)}`;
}

// --- outputs, links, events ----------------------------------------------------------------------

export const OUTPUT_COLUMNS = ["sign", "output", "demand", "zones", "commanded", "readback", "feed", "since"];
const OF_DEMAND = { WITHDRAW: "1", CUT_POWER: "2", SOUND: "3", FAULT: "F" };

function onOff(state) {
  return state === null ? say("unknown") : say(state ? "on" : "off");
}

export function outputs(body, list, zoneNames, now) {
  keyed(body, list, (o) => o.id, () => {
    const tr = row(OUTPUT_COLUMNS);
    cell(tr, "sign").append(mark("", ""));
    return tr;
  }, (tr, o) => {
    tr.className = "output";
    tr.classList.toggle("disagrees", o.agrees === false);
    tr.classList.toggle("unknown", o.agrees === null);
    tr.classList.toggle("still-live", o.demand === "CUT_POWER" && o.commanded === true && o.feed?.value === 1);
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
    put(li, `${words.clock(e.time, { today: now })}  ${about}: ${changed(e)}${e.reason ? ` (${e.reason})` : ""}${who}`);
  });
}

// What a row says that it changed: the state of an alarm, or a zone's level and demands.
function changed(e) {
  if (e.rule ? e.from_state === e.to_state : !e.to_level) return say("event.refused");
  if (e.rule) return `${say(`state.${e.from_state}`)} → ${say(`state.${e.to_state}`)}`;
  const demands = e.demands.map((d) => say(`demand.${d}`)).join(" + ") || say("event.nothing");
  return e.from_level === e.to_level ? demands : `${say(`level.${e.from_level}`)} → ${say(`level.${e.to_level}`)}; ${demands}`;
}
