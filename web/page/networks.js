// The networks that the server serves, and the machines that wait there for an
// address.

import { byID, element, setText } from "./dom.js";
import { age } from "./format.js";

// showNetworks shows nothing for one network on which nothing waits.
export function showNetworks({ networks = [], elsewhere = [] }) {
  const waiting = [...networks.flatMap((n) => (n.waiting ?? []).map((m) => [n.name, m])), ...elsewhere.map((m) => ["not served", m])];
  byID("networks").hidden = networks.length < 2 && waiting.length === 0;
  setText(byID("networks-count"), waiting.length === 0 ? `${networks.length} networks` : `${networks.length} networks, ${waiting.length} machines without an address`);
  byID("networks-list").replaceChildren(...networks.map(networkItem));
  byID("networks-waiting").replaceChildren(...waiting.map(waitingItem));
}

function networkItem(n) {
  const reached = !n.interface ? "through relays" : n.address ? `${n.interface} ${n.address}` : `${n.interface} (not there)`;
  const use = n.dhcp === "pool" ? `${n.poolUsed} of ${n.poolSize} addresses in use` : `DHCP ${n.dhcp}`;
  return element("li", {}, element("b", {}, n.name), " ", element("span", { class: "sub" }, [n.subnet, reached, use].filter(Boolean).join(" · ")));
}

function waitingItem([network, m]) {
  return element("li", {}, element("b", {}, m.mac), ` (${network}) `,
    element("span", { class: "sub" }, `${m.requests} requests, the last ${age(m.last, Date.now())} ago: ${m.reason}`));
}
