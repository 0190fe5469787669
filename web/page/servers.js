// The servers that share a store, and what is wrong with them as a whole.

import { byID, element, setText } from "./dom.js";
import { age } from "./format.js";

// showServers shows nothing for a server that is alone and well.
export function showServers({ servers, warnings = [] }) {
  const section = byID("servers");
  section.hidden = servers.length < 2 && warnings.length === 0;
  byID("warnings").hidden = warnings.length === 0;
  const texts = warnings.map(sentence);
  if (texts.join("\n") !== [...byID("warnings").children].map((p) => p.textContent).join("\n")) {
    byID("warnings").replaceChildren(...texts.map((text) => element("p", {}, text)));
  }
  byID("alive").hidden = servers.length < 2;
  setText(byID("alive-count"), `${servers.length} servers are alive`);
  byID("alive-list").replaceChildren(...servers.map(serverItem));
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + ".";

function serverItem(server) {
  const digest = server.site.split(":")[1]?.slice(0, 12) ?? "";
  return element("li", { class: "server", "data-differs": server.siteDiffers ? "true" : false },
    element("b", {}, server.name), server.self ? " (this one)" : "", " ",
    element("span", { class: "sub" }, [server.url, server.version, server.started ? `up for ${age(server.started, Date.now())}` : ""].filter(Boolean).join(" · ")), " ",
    element("span", { class: "sub site" }, "site ", element("code", {}, digest), server.siteDiffers ? " differs" : ""));
}
