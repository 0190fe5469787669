// The page. One stream from the server keeps the table of machines up to date.

import { byID, element, setText } from "./dom.js";
import { Row } from "./row.js";
import { showImages, showProblems } from "./site.js";

const rows = new Map(); // MAC to Row
const table = byID("machines");
const search = byID("search");
let shown = "all";
let open = "";

const filters = {
  all: ["All", () => true],
  installing: ["Installing", (m) => m.installing],
  failed: ["Failed", (m) => m.stage === "failed"],
  waiting: ["Install at next boot", (m) => m.next.action === "install" && !m.installing],
  installed: ["Installed", (m) => m.stage === "installed"],
  strangers: ["Not in the site", (m) => !m.described],
};

function showAll(machines) {
  const there = new Set(machines.map((m) => m.mac));
  for (const [mac, row] of rows) {
    if (there.has(mac)) continue;
    row.node.remove();
    rows.delete(mac);
    if (mac === open) open = "";
  }
  showMachines(machines);
  rows.get(open)?.trace?.load(); // get the events that the stream missed while it was broken
}

function showMachines(machines) {
  let added = false;
  for (const machine of machines) {
    let row = rows.get(machine.mac);
    if (!row) {
      row = new Row(machine.mac, openTrace);
      rows.set(machine.mac, row);
      added = true;
    }
    const name = row.machine?.hostname;
    row.show(machine);
    added ||= name !== machine.hostname;
  }
  if (added) arrange();
  refresh();
  openFromAddress();
}

// arrange sorts by name; machines without one come last.
function arrange() {
  const order = new Intl.Collator(undefined, { numeric: true });
  const key = (row) => row.machine.hostname || "\uffff" + row.mac;
  const sorted = [...rows.values()].sort((a, b) => order.compare(key(a), key(b)));
  let at = table.tHead;
  for (const row of sorted) {
    if (at.nextElementSibling !== row.node) at.after(row.node);
    at = row.node;
  }
}

// refresh shows the rows that the filters select, and counts the rows of each filter.
function refresh() {
  const text = search.value.trim().toLowerCase();
  let visible = 0;
  for (const row of rows.values()) {
    row.node.hidden = !filters[shown][1](row.machine) || !row.matches(text);
    if (!row.node.hidden) visible++;
  }
  byID("empty").hidden = rows.size > 0;
  byID("tools").hidden = rows.size === 0;
  table.hidden = visible === 0;
  byID("none").hidden = rows.size === 0 || visible > 0;
  const machines = [...rows.values()].map((row) => row.machine);
  for (const button of byID("filters").children) {
    const n = machines.filter(filters[button.value][1]).length;
    setText(button.lastElementChild, String(n));
    button.hidden = n === 0 && button.value !== "all" && button.value !== shown;
    button.setAttribute("aria-pressed", String(button.value === shown));
  }
}

function openTrace(mac) {
  rows.get(open)?.close();
  open = mac;
  rows.get(mac)?.open();
  history.replaceState(null, "", mac ? "#" + mac : location.pathname);
}

// openFromAddress opens the trace that the page's address names, once.
let addressRead = false;
function openFromAddress() {
  if (addressRead) return;
  addressRead = true;
  const mac = location.hash.slice(1).toLowerCase();
  if (rows.has(mac)) openTrace(mac);
}

function showLink(state, text) {
  byID("link").dataset.state = state;
  setText(byID("link"), text);
}

// connect opens the stream. A browser reconnects by itself after a broken
// connection, but not after an error from the server.
function connect() {
  const stream = new EventSource("/api/v1/live");
  const on = (name, show) => stream.addEventListener(name, (message) => show(JSON.parse(message.data)));
  on("everything", (all) => {
    showLink("live", "live");
    showProblems(all.problems);
    showImages(all.images);
    showAll(all.machines);
  });
  on("machines", showMachines);
  on("images", showImages);
  on("event", (event) => rows.get(event.mac)?.trace?.addLive(event));
  stream.addEventListener("error", () => {
    showLink("lost", "connection lost, trying again");
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  });
}

function addFilters() {
  byID("filters").append(...Object.entries(filters).map(([value, [label]]) =>
    element("button", { type: "button", value, "aria-pressed": "false" }, label + " ", element("b", {}, "0"))));
  byID("filters").addEventListener("click", (click) => {
    shown = click.target.closest("button")?.value ?? shown;
    refresh();
  });
  search.addEventListener("input", refresh);
  byID("tools").addEventListener("submit", (submit) => submit.preventDefault());
}

addFilters();
setInterval(() => rows.forEach((row) => row.node.hidden || row.tick(Date.now())), 1000);
connect();
