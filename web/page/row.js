// One machine of the table: its row, its failure, and its trace if that is open.

import { element, setText } from "./dom.js";
import { age, duration, size } from "./format.js";
import { showSteps, stageText, stepLine } from "./stages.js";
import { Trace } from "./trace.js";

const actions = { install: "install", local: "own disk", discover: "let go", inspect: "inspection", kernel: "kernel as it is" };

// labelsOf lists what a machine has in common with others, each with its kind.
function labelsOf(machine) {
  const of = (kind, values) => (values ?? []).map((value) => [kind, value]);
  return [...of("group", machine.group ? [machine.group] : []), ...of("profile", machine.profiles), ...of("tag", machine.tags)];
}

// labelText is a label in few characters: a group is called as its file.
export const labelText = (kind, value) => kind === "group" ? value.replace(/^machines\/|\.json$/g, "") : value;

export class Row {
  constructor(mac, opened, chosen) {
    this.mac = mac;
    this.opened = opened; // called with the MAC, or with "" when the trace is closed
    this.chosen = chosen; // called with the kind and the value of a label
    this.build();
  }

  build() {
    const id = "trace-" + this.mac.replaceAll(":", "-");
    this.name = element("button", { type: "button", class: "name", "aria-expanded": "false", "aria-controls": id });
    this.sub = element("span", { class: "sub mono" });
    this.labels = element("span", { class: "labels" });
    this.image = element("td", { "data-label": "Image" });
    this.steps = stepLine();
    this.stage = element("span", { class: "stage" });
    this.since = element("span", { class: "sub" });
    this.bar = element("progress", { max: "100", "aria-label": "Progress of the stage" });
    this.amount = element("span");
    this.speed = element("span");
    this.numbers = element("span", { class: "sub line numbers" }, this.amount, this.speed);
    this.action = element("span", { class: "action" });
    this.reason = element("span", { class: "sub reason" });
    this.failure = element("td", { colspan: "5" });
    this.failureRow = element("tr", { class: "failure", hidden: "" }, this.failure);
    this.plan = element("span", { class: "text" });
    this.confirm = element("button", { type: "button", hidden: "readonly" in document.body.dataset }, "Confirm, and let it write");
    this.confirm.addEventListener("click", () => this.confirmPlan());
    this.answer = element("span", { class: "sub", role: "status" });
    this.planRow = element("tr", { class: "plan", hidden: "" }, element("td", { colspan: "5" }, this.plan, this.confirm, this.answer));
    this.panel = element("td", { colspan: "5" });
    this.panelRow = element("tr", { class: "panel", id, hidden: "" }, this.panel);
    const row = element("tr", { class: "machine" },
      element("th", { scope: "row" }, this.name, this.sub, this.labels), this.image,
      element("td", { "data-label": "Stage" }, this.steps, element("span", { class: "line" }, this.stage, this.since)),
      element("td", { "data-label": "Progress" }, this.bar, this.numbers),
      element("td", { "data-label": "Next boot" }, this.action, this.reason));
    row.addEventListener("click", (click) => this.clicked(click));
    this.node = element("tbody", { "data-mac": this.mac }, row, this.failureRow, this.planRow, this.panelRow);
  }

  // clicked opens or closes the trace, unless the click ended a text selection.
  clicked(click) {
    const label = click.target.closest(".label");
    if (label) return this.chosen(label.dataset.kind, label.value);
    if (click.target !== this.name && String(getSelection()) !== "") return;
    this.opened(this.trace ? "" : this.mac);
  }

  show(machine) {
    this.machine = machine;
    this.node.dataset.stage = machine.stage;
    setText(this.name, machine.hostname || machine.mac);
    setText(this.sub, [machine.hostname ? machine.mac : "", machine.address].filter(Boolean).join("  "));
    this.showLabels(machine);
    setText(this.image, machine.image || "—");
    showSteps(this.steps, machine);
    setText(this.stage, stageText(machine));
    this.showProgress(machine.progress);
    setText(this.action, actions[machine.next.action] ?? machine.next.action);
    this.action.dataset.action = machine.next.action;
    setText(this.reason, machine.next.reason);
    this.reason.title = machine.next.reason;
    const wrong = [machine.failure, machine.quiet && `Quiet: ${machine.quiet.cause}.`, machine.outdated && `Outdated: ${machine.outdated.join("; ")}.`].filter(Boolean).join(" ");
    this.failureRow.hidden = wrong === "";
    setText(this.failure, wrong);
    this.showPlan(machine.plan);
    this.tick(Date.now());
    this.trace?.showFacts(machine.facts ?? {});
  }

  // showLabels shows the machine's group, profiles and tags. They stay as they are while
  // they are the same, so that none loses the focus.
  showLabels(machine) {
    const labels = labelsOf(machine);
    const key = JSON.stringify(labels);
    if (key === this.labelKey) return;
    this.labelKey = key;
    this.labels.replaceChildren(...labels.map(([kind, value]) =>
      element("button", { type: "button", class: "label", "data-kind": kind, value, title: `Show only machines of the ${kind} ${value}` }, labelText(kind, value))));
  }

  // showPlan shows what the machine's installer will do once a person has confirmed it.
  showPlan(plan) {
    this.planRow.hidden = !plan?.waits;
    if (!plan?.waits) return setText(this.answer, "");
    const name = this.machine.hostname || this.mac;
    setText(this.plan, `It will ${plan.text}.` + (this.confirm.hidden ? ` It waits for \`cloudlets confirm ${name}\`.` : ""));
  }

  // confirmPlan confirms what is shown, and no other plan that may have come meanwhile.
  async confirmPlan() {
    this.confirm.disabled = true;
    try {
      const body = JSON.stringify({ by: "the page", digest: this.machine.plan?.digest ?? "" });
      const answer = await fetch(`/api/v1/machines/${this.mac}/confirm`, { method: "POST", body });
      setText(this.answer, answer.ok ? "" : (await answer.json()).error);
    } catch (error) {
      setText(this.answer, `The server did not answer: ${error.message}`);
    } finally {
      this.confirm.disabled = false;
    }
  }

  showProgress(progress) {
    this.bar.hidden = !progress;
    this.numbers.hidden = !progress;
    if (!progress) return;
    const known = progress.total > 0;
    if (known) this.bar.value = progress.percent;
    else this.bar.removeAttribute("value");
    setText(this.amount, known ? `${progress.percent} % · ${size(progress.done)} of ${size(progress.total)}` : size(progress.done));
    const speed = progress.rate > 0 ? [`${size(progress.rate)}/s`] : [];
    if (progress.left > 0) speed.push(`${duration(progress.left)} left`);
    setText(this.speed, speed.join(" · "));
  }

  // tick updates the text that depends on the time.
  tick(now) {
    const since = this.machine.since;
    const waits = this.machine.stage === "new" || !since;
    setText(this.since, waits ? "" : this.machine.installing ? age(since, now) : `${age(since, now)} ago`);
  }

  open() {
    if (this.trace) return;
    this.trace = new Trace(this.mac);
    this.trace.showFacts(this.machine.facts ?? {});
    this.panel.replaceChildren(this.trace.node);
    this.panelRow.hidden = false;
    this.node.classList.add("open");
    this.name.setAttribute("aria-expanded", "true");
  }

  close() {
    if (!this.trace) return;
    this.trace.stop();
    this.trace = undefined;
    this.panel.replaceChildren();
    this.panelRow.hidden = true;
    this.node.classList.remove("open");
    this.name.setAttribute("aria-expanded", "false");
  }
}
