// Elements made without markup, so that text from a machine can never become
// HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// setText changes a node only if its text differs, so that a selection in it is
// kept.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const byID = (id) => document.getElementById(id);
