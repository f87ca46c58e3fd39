// Whether what the page shows is still true: how long nothing came, and how late it came.

import { say } from "./messages.js";
import * as words from "./words.js";

const SILENT_MS = 3000;
// The clocks of two machines may run apart by this much and still count as one [ms per ms].
const DRIFT = 0.0002;

export class Truth {
  constructor() {
    this.begin();
  }

  begin() {
    Object.assign(this, { shownFor: "", monotonic: -Infinity, least: Infinity, lateMs: 0 });
    this.mark();
  }

  mark() {
    this.at = performance.now();
    this.wall = Date.now();
  }

  took(tick) {
    const before = this.at;
    this.mark();
    // A server that was started anew on another machine's boot has another clock.
    if (tick.monotonic_ms < this.monotonic) this.least = Infinity;
    // The quickest tick so far says how far the two clocks are apart.
    const apart = this.at - tick.monotonic_ms;
    this.least = Math.min(this.least + (this.at - before) * DRIFT, apart);
    this.lateMs = apart - this.least;
    this.monotonic = tick.monotonic_ms;
    this.shownFor = tick.status.time;
  }

  // By two clocks: the steady one may stand still while the machine sleeps, the other may be set.
  silentMs() {
    return Math.max(performance.now() - this.at, Date.now() - this.wall);
  }

  // What to say about contact lost; empty while there is contact.
  lost(trouble) {
    const silent = this.silentMs();
    if (silent <= SILENT_MS && this.lateMs <= SILENT_MS) return "";
    return `${this.why(trouble, silent)} ${say("lost.act")}`;
  }

  why(trouble, silent) {
    if (trouble === 429) return say("lost.many");
    if (!this.shownFor) return say("lost.never");
    if (silent <= SILENT_MS) return say("lost.late", { s: words.span(this.lateMs / 1000) });
    const time = words.clock(this.shownFor, { offset: true });
    return say("lost.since", { s: words.span(silent / 1000), time });
  }
}
