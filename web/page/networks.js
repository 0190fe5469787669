// The networks that the server serves, the machines that wait there for an address,
// why requests got none, and other DHCP servers.

import { byID, element, setText } from "./dom.js";
import { age } from "./format.js";

export function showNetworks({ networks = [], elsewhere = [], unansweredElsewhere = [] }) {
  const of = (key, others = []) => [...networks.flatMap((n) => (n[key] ?? []).map((one) => [n.name, one])), ...others.map((one) => ["not served", one])];
  const waiting = of("waiting", elsewhere);
  const servers = of("otherServers");
  byID("networks").hidden = networks.length === 0;
  setText(byID("networks-count"), summary(networks, waiting));
  byID("networks-list").replaceChildren(...networks.map(networkItem));
  byID("networks-waiting").replaceChildren(...waiting.map(waitingItem));
  byID("networks-unanswered").replaceChildren(...of("unanswered", unansweredElsewhere).map(unansweredItem));
  byID("networks-servers").replaceChildren(...servers.map(serverItem));
  const rivals = servers.filter(([, s]) => s.answers);
  byID("networks-rivals").hidden = rivals.length === 0;
  byID("networks-rivals").replaceChildren(...rivals.map(([network, s]) =>
    element("div", {}, `Another DHCP server answers on ${network}: ${s.server}. Machines may get conflicting answers: switch it off there, or make this server a proxy.`)));
}

function summary(networks, waiting) {
  const [only] = networks;
  const what = networks.length === 1 ? `Network ${only.name}, ${use(only)}` : `${networks.length} networks`;
  return waiting.length === 0 ? what : `${what}, ${waiting.length} machine${waiting.length === 1 ? "" : "s"} without an address`;
}

const use = (n) => n.dhcp === "pool" ? `${n.poolUsed} of ${n.poolSize} addresses in use` : `DHCP ${n.dhcp}`;

function networkItem(n) {
  const reached = !n.interface ? "through relays" : n.address ? `${n.interface} ${n.address}` : `${n.interface} (not there)`;
  return element("li", {}, element("b", {}, n.name), " ", element("span", { class: "sub" }, [n.subnet, reached, use(n)].filter(Boolean).join(" · ")));
}

const ago = (time) => `${age(time, Date.now())} ago`;

function waitingItem([network, m]) {
  return element("li", {}, element("b", {}, m.mac), ` (${network}) `,
    element("span", { class: "sub" }, `${m.requests} requests, the last ${ago(m.last)}: ${m.reason}`));
}

function unansweredItem([network, u]) {
  return element("li", {}, element("b", {}, `${u.requests} requests got no address`), ` (${network}) `,
    element("span", { class: "sub" }, `the last ${ago(u.last)} by ${u.mac}${u.relay ? ` through ${u.relay}` : ""}: ${u.reason}`));
}

function serverItem([network, s]) {
  const does = [s.offered && `offered ${s.offered}`, s.file && `names the boot file ${s.file}`].filter(Boolean).join(" and ");
  return element("li", {}, element("b", {}, `DHCP server ${s.server}`), ` (${network}) `,
    element("span", { class: "sub" }, [does, `seen on ${s.interface}, first ${ago(s.since)}, last ${ago(s.last)}`].filter(Boolean).join("; ")));
}
