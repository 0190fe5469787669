// The page. It shows one page of the table of machines, and one stream from the
// server keeps that up to date.

import { byID, element, setText } from "./dom.js";
import { count } from "./format.js";
import { Pager } from "./pager.js";
import { Row, labelText } from "./row.js";
import { showNetworks } from "./networks.js";
import { showServers } from "./servers.js";
import { showImages, showProblems } from "./site.js";

const rows = new Map(); // MAC to Row, of the machines on this page
const table = byID("machines");
const search = byID("search");
const sort = byID("sort");
const pager = new Pager(connect);
const typingPause = 200; // milliseconds
let list = ""; // the stage or group that is shown; "" is all machines
let label; // the kind and the value of the label whose machines are shown; undefined is all
let open = ""; // the machine whose trace is open
let stream;

// Each filter is a list of the server's, with its label and its number in the counts.
const filters = {
  "": ["All", (counts) => counts.all],
  installing: ["Installing", (counts) => counts.installing],
  failed: ["Failed", (counts) => counts.failed],
  waiting: ["Install at next boot", (counts) => counts.waiting],
  quiet: ["Quiet", (counts) => counts.quiet],
  outdated: ["Outdated", (counts) => counts.outdated],
  installed: ["Installed", (counts) => counts.installed],
  running: ["Running", (counts) => counts.stages.running ?? 0],
  strangers: ["Not in the site", (counts) => counts.strangers],
};

// showPage shows the machines of a page in the order in which they come.
function showPage(page) {
  const there = new Set(page.machines.map((m) => m.mac));
  for (const [mac, row] of rows) {
    if (there.has(mac)) continue;
    row.close();
    row.node.remove();
    rows.delete(mac);
  }
  let at = table.tHead;
  for (const machine of page.machines) {
    const row = rowOf(machine.mac);
    row.show(machine);
    if (at.nextElementSibling !== row.node) at.after(row.node);
    at = row.node;
  }
  rows.get(open)?.open();
  showCounts(page.counts);
  pager.show(page.machines.length, page.next, search.value.trim() || label ? undefined : filters[list][1](page.counts));
  if (pager.passOver(page)) return;
  table.hidden = rows.size === 0;
  byID("none").hidden = page.counts.all === 0 || rows.size > 0;
}

function rowOf(mac) {
  let row = rows.get(mac);
  if (!row) {
    row = new Row(mac, openTrace, choose);
    rows.set(mac, row);
  }
  return row;
}

// showEverything also gets the events of the open trace that the stream missed.
function showEverything(all) {
  const trace = rows.get(open)?.trace;
  showLink("live", "live");
  showProblems(all.problems, all.problemCount);
  showImages(all.images);
  showServers(all.servers);
  showNetworks(all.networks);
  showPage(all);
  trace?.load();
  findFromAddress(all);
}

function showCounts(counts) {
  byID("empty").hidden = counts.all > 0;
  byID("tools").hidden = counts.all === 0;
  for (const button of byID("filters").children) {
    const n = filters[button.value][1](counts);
    setText(button.lastElementChild, count(n));
    button.hidden = n === 0 && button.value !== "" && button.value !== list;
    button.setAttribute("aria-pressed", String(button.value === list));
  }
}

// openTrace opens one machine's trace and closes the other; "" closes all. The
// stream then tells the events of that machine.
function openTrace(mac) {
  rows.get(open)?.close();
  open = mac;
  history.replaceState(null, "", mac ? "#" + mac : location.pathname);
  rows.get(mac)?.open();
  connect();
}

// choose shows only the machines that have a label, in addition to what else is chosen; no
// kind shows all again.
function choose(kind, value) {
  label = kind ? { kind, value } : undefined;
  const button = byID("chosen");
  button.hidden = !label;
  if (label) {
    setText(button, `${kind}: ${labelText(kind, value)} ×`);
    button.setAttribute("aria-label", `Show the machines of the ${kind} ${value} no more alone`);
  }
  pager.first();
}

function showLink(state, text) {
  byID("link").dataset.state = state;
  setText(byID("link"), text);
}

// connect opens the stream of what is shown now, in place of the one before. A
// browser reconnects by itself after a broken connection, but not after an error
// from the server.
function connect() {
  stream?.close();
  const query = { stage: list, sort: sort.value, search: search.value.trim(), after: pager.after, trace: open };
  if (label) query[label.kind] = label.value;
  const own = new EventSource("/api/v1/live?" + new URLSearchParams(Object.entries(query).filter(([, value]) => value)));
  stream = own;
  const on = (name, show) => own.addEventListener(name, (message) => show(JSON.parse(message.data)));
  on("everything", showEverything);
  on("page", showPage);
  on("machines", (machines) => machines.forEach((m) => rows.get(m.mac)?.show(m)));
  on("counts", showCounts);
  on("images", showImages);
  on("servers", showServers);
  on("networks", showNetworks);
  on("event", (event) => rows.get(event.mac)?.trace?.addLive(event));
  own.addEventListener("error", () => {
    showLink("lost", "connection lost, trying again");
    if (own.readyState === EventSource.CLOSED) setTimeout(() => stream === own && connect(), 3000);
  });
}

function addFilters() {
  byID("filters").append(...Object.entries(filters).map(([value, [label]]) =>
    element("button", { type: "button", value, "aria-pressed": "false" }, label + " ", element("b", {}, "0"))));
  byID("filters").addEventListener("click", (click) => {
    const button = click.target.closest("button");
    if (!button) return;
    list = button.value;
    pager.first();
  });
  byID("chosen").addEventListener("click", () => choose());
  let typed;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => pager.first(), typingPause);
  });
  sort.addEventListener("change", () => pager.first());
  byID("tools").addEventListener("submit", (submit) => submit.preventDefault());
}

// openFromAddress opens the trace that the page's address names.
function openFromAddress() {
  const mac = location.hash.slice(1).toLowerCase();
  if (/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) open = mac;
}

// findFromAddress searches for that machine, once, if it is not on the first page.
let found = false;
function findFromAddress(page) {
  const elsewhere = !found && open && !rows.has(open) && page.next;
  found = true;
  if (!elsewhere) return;
  search.value = open;
  pager.first();
}

addFilters();
setInterval(() => rows.forEach((row) => row.tick(Date.now())), 1000);
openFromAddress();
connect();
