// The live page: takes the stream, keeps what it knows, and says plainly when it knows nothing new.

import * as draw from "./draw.js";
import { ask, follow, Refused } from "./link.js";
import { say, speak } from "./messages.js";
import { Truth } from "./truth.js";
import * as words from "./words.js";
import { zones } from "./zones.js";

const EVENTS_SHOWN = 40;

const find = (id) => document.getElementById(id);
const mine = { token: "", tick: null, points: [], digest: null, events: [], trouble: 0, announced: new Set() };
const truth = new Truth();

// --- who is looking ------------------------------------------------------------------------------

function tokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return given || sessionStorage.getItem("token") || "";
}

function askForToken(why) {
  document.body.className = "login";
  fixedWords();
  find("login-why").textContent = why;
  find("token").focus();
}

async function enter(token) {
  mine.token = token;
  sessionStorage.setItem("token", token);
  document.body.className = "";
  truth.begin();
  await follow(token, { frame, trouble: (status) => { mine.trouble = status; } });
  sessionStorage.removeItem("token");
  askForToken(say("login.refused"));
}

// --- what comes ------------------------------------------------------------------------------------

function frame(kind, data) {
  if (kind === "state") takeTick(data);
  if (kind === "event") takeEvents([data]);
  if (kind === "reset") mine.events = [];
}

function takeTick(tick) {
  truth.took(tick);
  const first = mine.tick === null;
  Object.assign(mine, { tick, trouble: 0 });
  words.setTimezone(tick.status.site.timezone);
  if (tick.points && mine.digest !== tick.status.digest) loadTables(tick.status.digest);
  if (first) loadEvents(tick.status.committed_seq ?? 0);
  render();
}

async function loadTables(digest) {
  if (mine.loading) return;
  mine.loading = true;
  try {
    const [points, limits] = await Promise.all([ask("api/v1/points", mine.token), ask("api/v1/limits", mine.token)]);
    const byId = new Map(limits.map((limit) => [limit.id, limit]));
    mine.points = points.map((point) => ({ ...point, rules: point.limits.map((id) => byId.get(id)) }));
    mine.digest = digest;
    find("zones").querySelector("div").replaceChildren();
  } catch (error) {
    if (error instanceof Refused) mine.trouble = 401;
  } finally {
    mine.loading = false;
  }
  render();
}

async function loadEvents(newest) {
  try {
    const page = await ask(`api/v1/events?after=${Math.max(0, newest - EVENTS_SHOWN)}`, mine.token);
    takeEvents(page.events);
  } catch {
    // The list begins with what happens from now on.
  }
}

function takeEvents(rows) {
  const known = new Set(mine.events.map((e) => e.seq));
  mine.events = [...mine.events, ...rows.filter((e) => !known.has(e.seq))]
    .sort((a, b) => b.seq - a.seq).slice(0, EVENTS_SHOWN);
}

// --- is it true now? ---------------------------------------------------------------------------------

function strip(id, heading, text) {
  const element = find(id);
  element.hidden = !text;
  if (!element.firstChild) element.append(draw.node("b"), draw.node("span"));
  draw.put(element.firstChild, text ? heading : "");
  draw.put(element.lastChild, text);
}

function renderTruth() {
  if (document.body.classList.contains("login")) return;
  const lost = truth.lost(mine.trouble);
  strip("lost", say("lost"), lost);
  const core = mine.tick?.status.core;
  const wrong = core && core.state !== "ok" ? core.state : "";
  const silent = words.span((core?.silent_s ?? 0) + truth.silentMs() / 1000);
  strip("core", say(`core.${wrong}`), wrong && `${say(`core.${wrong}.text`, { s: silent })} ${say("lost.act")}`);
  document.body.classList.toggle("lost", Boolean(lost));
  document.body.classList.toggle("core-down", Boolean(wrong));
  const status = mine.tick?.status;
  const leaving = status?.leave?.length ? `${say("demand.WITHDRAW")}! ` : "";
  document.title = `${lost ? `${say("lost")} - ` : leaving}${status?.site.name ?? say("title")}`;
}

// --- the page ------------------------------------------------------------------------------------------

function fixedWords() {
  const texts = {
    supervisory: "supervisory", "login-title": "login.title", "login-label": "login.label",
    "login-go": "login.go", forget: "login.forget",
  };
  for (const [id, key] of Object.entries(texts)) draw.put(find(id), say(key));
  const titles = { "must-leave": "leave", alarms: "alarms", zones: "zones", outputs: "outputs", links: "links", events: "events" };
  for (const [id, key] of Object.entries(titles)) draw.put(find(id).querySelector("h2"), say(key));
}

function heads() {
  draw.heads(find("alarms").querySelector("table"), draw.ALARM_COLUMNS);
  draw.heads(find("outputs").querySelector("table"), draw.OUTPUT_COLUMNS);
  draw.heads(find("links").querySelector("table"), draw.LINK_COLUMNS);
}

// Points as they are now: what is fixed, what the last tick said, and the time since.
function pointsNow() {
  const columns = mine.tick.points;
  const since = truth.silentMs() / 1000;
  return mine.points.map((point, i) => ({
    ...point,
    value: columns.value[i], quality: columns.quality[i], level: columns.level[i],
    usable: columns.quality[i] === "GOOD" || columns.quality[i] === "UNCERTAIN",
    age_s: columns.age_s[i] === null ? null : columns.age_s[i] + since,
  }));
}

function render() {
  fixedWords();
  const tick = mine.tick;
  renderTruth();
  if (!tick) return;
  const now = tick.status.time;
  draw.put(find("site"), tick.status.site.name);
  draw.put(find("clock"), words.clock(now, { offset: true }));
  renderLeave(tick);
  if (!tick.points || mine.digest !== tick.status.digest) {
    for (const place of document.querySelectorAll("#zones > div, tbody")) if (!tick.points) place.replaceChildren();
    draw.put(find("summary"), "");
    return;
  }
  const zoneNames = new Map(tick.zones.map((zone) => [zone.id, zone.name]));
  renderSummary(tick);
  renderAlarms(tick, now);
  zones(find("zones").querySelector("div"), tick.zones, pointsNow());
  draw.outputs(find("outputs").querySelector("tbody"), tick.outputs, zoneNames, now);
  draw.links(find("links").querySelector("tbody"), tick.links.links);
  draw.put(find("links").querySelector(".peers"), tick.links.peers
    .map((peer) => `${peer.id}: ${say(peer.proven ? "proven" : "unproven")}`).join("; "));
  draw.events(find("events").querySelector("ol"), mine.events, zoneNames, now);
  heads();
  const limits = mine.points.flatMap((point) => point.rules);
  const open = limits.filter((rule) => rule.source.profile && rule.source.verified !== "yes").length;
  draw.put(find("checked"), open ? say("checked", { n: open, all: limits.length }) : "");
}

function renderSummary(tick) {
  const { leave, counts, level, uncommitted } = tick.status;
  const parts = [];
  if (leave.length) parts.push(say(leave.length === 1 ? "summary.leave1" : "summary.leave", { zones: leave.length }));
  parts.push(say(`level.${level}`));
  if (counts.unacked) parts.push(say("summary.unacked", { n: counts.unacked }));
  if (uncommitted) parts.push(say("summary.uncommitted", { n: uncommitted }));
  draw.put(find("summary"), parts.join(" · "));
  find("summary").className = leave.length ? "priority-1" : `level-${level}`;
}

function renderLeave(tick) {
  const place = find("must-leave").querySelector("div");
  const known = tick.status.leave !== null && tick.status.core.state === "ok";
  const list = tick.status.leave ?? [];
  find("must-leave").classList.toggle("urgent", list.length > 0);
  if (!list.length) {
    if (place.children.length !== 1 || place.firstChild.tagName !== "P") place.replaceChildren(draw.node("p"));
    draw.put(place.firstChild, say(known ? "leave.none" : "leave.unknown"));
    return;
  }
  if (place.firstChild?.tagName === "P") place.replaceChildren();
  draw.keyed(place, list, (zone) => zone.zone, () => {
    const made = draw.node("div", "leaving");
    made.append(draw.node("b"), draw.node("span", "where"), draw.node("span", "people"));
    return made;
  }, (made, zone) => {
    draw.put(made.querySelector("b"), say("leave.now"));
    draw.put(made.querySelector(".where"), zone.name || zone.zone);
    draw.put(made.querySelector(".people"), zone.people === null ? say("leave.nobody") : say("leave.people", { n: zone.people }));
  });
}

function renderAlarms(tick, now) {
  const section = find("alarms");
  const none = section.querySelector(".none");
  const { usable, points, by_quality } = tick.status.counts;
  const rest = Object.entries(by_quality).filter(([q]) => q !== "GOOD")
    .map(([q, n]) => `${n} ${say(`quality.${q}`)}`).join(", ");
  none.hidden = tick.alarms.length > 0;
  draw.put(none, say("alarms.none", { usable, points, rest: rest && `; ${rest}` }));
  section.querySelector("table").hidden = tick.alarms.length === 0;
  draw.alarms(section.querySelector("tbody"), tick.alarms, now);
  const calling = tick.alarms.filter((a) => a.state === "UNACKED");
  const fresh = calling.filter((a) => !mine.announced.has(`${a.id} ${a.since}`));
  mine.announced = new Set(calling.map((a) => `${a.id} ${a.since}`));
  if (fresh.length) {
    draw.put(find("announce"), fresh.slice(0, 3)
      .map((a) => `${say(`level.${a.level}`)}: ${a.zone_name || a.zone}, ${a.description || a.id}`).join(". "));
  }
}

// --- begin -----------------------------------------------------------------------------------------------

const language = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language") ?? navigator.language.slice(0, 2);
speak(language);
find("language").value = language === "zh" ? "zh" : "en";
find("language").addEventListener("change", (event) => {
  speak(event.target.value);
  localStorage.setItem("language", event.target.value);
  render();
});
find("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = find("token").value.trim();
  find("token").value = "";
  if (token) enter(token);
});
find("forget").addEventListener("click", () => {
  sessionStorage.removeItem("token");
  location.reload();
});
// Lost contact is noticed by this timer, not by what does not come.
const lookAgain = () => (truth.silentMs() > 1500 ? render() : renderTruth());
document.addEventListener("visibilitychange", lookAgain);
setInterval(lookAgain, 250);

const token = tokenFromAddress();
render();
if (token) enter(token);
else askForToken("");
