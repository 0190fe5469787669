// The mistakes in the site's files, and the state of its images.

import { byID, element } from "./dom.js";
import { count, size } from "./format.js";

// showProblems shows the first mistakes, and says how many there are in all.
export function showProblems(problems, all) {
  const section = byID("problems");
  section.hidden = problems.length === 0;
  if (section.hidden) return section.replaceChildren();
  section.replaceChildren(
    element("h2", {}, `${all === 1 ? "A mistake" : `${count(all)} mistakes`} in the site's files`),
    element("p", { class: "sub" }, "Until they are corrected, the last good version of each file is used."),
    element("ul", {}, ...problems.map((p) => element("li", {},
      element("code", {}, p.line ? `${p.file}:${p.line}:${p.column}` : p.file), " ", p.path ? `${p.path}: ${p.reason}` : p.reason))));
  if (all > problems.length) {
    section.append(element("p", { class: "sub" }, `These are the first ${problems.length}. `, element("code", {}, "cloudlets doctor"), " lists all of them."));
  }
}

export function showImages(images) {
  byID("images").replaceChildren(...images.map(imageItem));
}

function imageItem(image) {
  const name = image.entrypoint ? `${image.name} (${image.entrypoint})` : image.name;
  const state = { packing: "packing…", ready: size(image.pack ?? 0) + " packed", failed: "cannot be booted" }[image.status] ?? image.status;
  const item = element("div", { class: "image", "data-status": image.status }, element("b", {}, name), " ", element("span", { class: "sub" }, state));
  if (image.error) item.append(element("span", { class: "why" }, image.error));
  return item;
}
