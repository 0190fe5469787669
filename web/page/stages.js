// The stages of an install, as a line of dots and in words.

import { element } from "./dom.js";

const names = {
  new: "never seen", stranger: "not in the site", inspect: "inspected, waits for approval", firmware: "firmware", loader: "boot loader",
  kernel: "kernel and RAM disk", booted: "booted a kernel as it is", agent: "agent started", confirm: "waits for a person", partition: "partitioning", stream: "writing files",
  configure: "configuring", verify: "verifying", bootable: "made bootable", handover: "handing over",
  installed: "installed", running: "running", local: "booted its own disk", failed: "failed",
};

const steps = document.body.dataset.steps.split(" ");

export const stageName = (stage) => names[stage] ?? stage;

export function stepLine() {
  return element("span", { class: "steps", "aria-hidden": "true" }, ...steps.map((s) => element("i", { title: stageName(s) })));
}

// showSteps lights the dots up to the machine's stage.
export function showSteps(line, machine) {
  line.hidden = machine.step === 0;
  const finished = machine.stage === "installed" || machine.stage === "running";
  Array.from(line.children).forEach((dot, i) => {
    const here = i + 1 === machine.step && !finished;
    dot.className = i + 1 > machine.step ? "" : !here ? "past" : machine.stage === "failed" ? "broken" : "here";
  });
}

export function stageText(machine) {
  const stage = machine.stage === "failed" && machine.step > 0 ? `failed at ${stageName(steps[machine.step - 1])}` : stageName(machine.stage);
  return stage + (machine.quiet ? ", quiet" : "") + (machine.outdated ? ", outdated" : "");
}

// stageSpans shows how long each finished stage of the latest boot took. The row
// shows how long the running one has taken.
export function stageSpans(into, spans, format) {
  into.replaceChildren(...spans.map((span) => {
    const item = element("li", { "data-running": span.running ? "true" : false }, stageName(span.stage));
    if (span.seconds > 0 && !span.running) item.append(" ", element("b", {}, format(span.seconds)));
    return item;
  }));
  into.hidden = spans.length === 0;
}

