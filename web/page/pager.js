// Which page of the table is shown, and the buttons to the next and the one before.

import { byID, setText } from "./dom.js";
import { count } from "./format.js";

export class Pager {
  constructor(turned) {
    this.turned = turned; // called when another page is to be shown
    this.pages = [{ after: "", from: 1 }]; // the first page to this one
    this.next = "";
    byID("previous").addEventListener("click", () => this.turn(() => this.back()));
    byID("next").addEventListener("click", () => this.turn(() => this.forth()));
  }

  // after is the place in the table after which this page begins.
  get after() { return this.pages.at(-1).after; }

  first() {
    this.pages = [{ after: "", from: 1 }];
    this.turned();
  }

  back() {
    if (this.pages.length > 1) this.pages.pop();
  }

  forth() {
    if (this.next) this.pages.push({ after: this.next, from: this.pages.at(-1).from + this.shown });
  }

  // turn goes to another page if there is one, and shows it from its beginning.
  turn(go) {
    const before = this.pages.length;
    go();
    if (this.pages.length === before) return;
    this.next = ""; // until that page comes, a second press does nothing
    byID("tools").scrollIntoView();
    this.turned();
  }

  // show says which machines are shown. total is undefined if nobody counted them.
  show(shown, next, total) {
    this.shown = shown;
    this.next = next ?? "";
    const from = this.pages.at(-1).from;
    byID("pages").hidden = this.pages.length === 1 && !this.next;
    this.setDisabled(byID("previous"), this.pages.length === 1);
    this.setDisabled(byID("next"), !this.next);
    const range = shown === 0 ? "No machines" : `Machines ${count(from)} to ${count(from + shown - 1)}`;
    setText(byID("range"), total === undefined ? range : `${range} of ${count(total)}`);
  }

  // setDisabled keeps the focus on a button that can do nothing for now.
  setDisabled(button, disabled) { button.setAttribute("aria-disabled", String(disabled)); }

  // passOver goes on where a search looked at as many machines as it may and found
  // none of them, and says whether it does. The page before stays the one before.
  passOver(page) {
    if (page.machines.length > 0 || !page.next) return false;
    this.pages.at(-1).after = page.next;
    this.turned();
    return true;
  }
}
