// A machine's trace: its events with their reasons, updated as they happen.

import { element, setText } from "./dom.js";
import { dayOf, duration, timeOfDay } from "./format.js";
import { stageSpans } from "./stages.js";

export class Trace {
  constructor(mac) {
    this.mac = mac;
    this.items = new Map(); // event ID to its list item
    this.facts = element("dl", { class: "facts" });
    this.spans = element("ol", { class: "spans", "aria-label": "Stages of the latest boot", hidden: "" });
    this.list = element("ol", { class: "events", role: "log", "aria-label": `Trace of ${mac}`, tabindex: "0" });
    this.note = element("p", { class: "sub" }, "Reading the trace…");
    this.node = element("div", { class: "trace" }, this.facts, this.spans, this.note, this.list);
    this.aborter = new AbortController();
    this.load();
  }

  stop() { this.aborter.abort(); }

  // load gets the events so far. Events that happen meanwhile come through
  // addLive.
  async load() {
    try {
      const events = await this.get("/events");
      events.forEach((event) => this.add(event));
      setText(this.note, this.items.size > 0 ? "" : "Nothing has happened to this machine yet.");
      this.note.hidden = this.items.size > 0;
      await this.loadSpans();
    } catch (error) {
      if (error.name !== "AbortError") setText(this.note, `The trace cannot be read: ${error.message}`);
    }
  }

  async loadSpans() {
    const detail = await this.get("");
    stageSpans(this.spans, detail.stages, duration);
  }

  async get(what) {
    const answer = await fetch(`/api/v1/machines/${this.mac}${what}`, { signal: this.aborter.signal });
    const value = await answer.json();
    if (!answer.ok) throw new Error(value.error);
    return value;
  }

  // add shows an event in order of its ID. It replaces an event with the same ID
  // if the new count is higher.
  add(event) {
    const old = this.items.get(event.id);
    if (old && Number(old.dataset.count) >= (event.count ?? 0)) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 40;
    const item = eventItem(event);
    if (old) old.replaceWith(item);
    else this.place(event.id, item);
    this.items.set(event.id, item);
    this.note.hidden = true;
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  // addLive adds an event of the running stream.
  addLive(event) {
    this.add(event);
    if (event.stage || event.kind === "done" || event.kind === "failed") this.loadSpans().catch(() => {}); // the next event tries again
  }

  place(id, item) {
    let before = null;
    for (let last = this.list.lastElementChild; last && Number(last.dataset.id) > id; last = last.previousElementSibling) before = last;
    this.list.insertBefore(item, before);
  }

  showFacts(facts) {
    const parts = Object.entries(facts).filter(([, value]) => value).sort(([a], [b]) => (a < b ? -1 : 1));
    this.facts.hidden = parts.length === 0;
    this.facts.replaceChildren(...parts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }
}

function eventItem(event) {
  const what = element("span", { class: "what" }, element("span", { class: "text" }, event.text));
  if (event.count > 1) what.append(" ", element("span", { class: "sub" }, `× ${event.count}`));
  if (event.card) what.append(" ", element("span", { class: "sub" }, `by its card ${event.card}`));
  if (event.by) what.append(" ", element("span", { class: "sub" }, `by ${event.by}`));
  if (event.reason) what.append(element("span", { class: "why" }, event.reason));
  return element("li", { "data-id": event.id, "data-kind": event.kind, "data-count": event.count ?? 0 },
    element("time", { datetime: event.time, title: dayOf(event.time) }, timeOfDay(event.time)),
    element("span", { class: "kind" }, event.kind), what);
}
