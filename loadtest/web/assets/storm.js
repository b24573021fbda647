// The fault buttons, armed after one question, and the recovery of each event as it happens.
import { getJson, onChange, run } from "./feed.js";
import { begin, onTheme } from "./frame.js";
import { drawRecovery, drawRun } from "./charts.js";
import { cells, clock, count, percent, put, seconds } from "./words.js";

const token = document.querySelector('meta[name="loadtest-token"]').content;
const arm = document.getElementById("arm"), ask = document.getElementById("ask"), forms = [...document.querySelectorAll("form[data-kind]")];
const units = { share: "%", delay: "ms", jitter: "ms", bytes_per_s: "B", duration: "s", drain_seconds: "", number: "" };
let lasting = [], ofParts = [];
let armed = false, events = [], busy = false;

function allow() {
  const running = run.state === "running";
  arm.setAttribute("aria-pressed", String(armed));
  arm.textContent = armed ? "Disarm the buttons" : "Arm the buttons";
  put("armed-note", !running ? "No run is under way." : armed ? "Armed: each press strikes at once." : "Faults disturb the target. Arming asks once.");
  for (const form of forms) {
    const possible = !["deploy", "of_parts"].includes(form.dataset.kind) || run.control;
    form.querySelector("button").disabled = !(armed && running && possible);
  }
  for (const id of ["no-deploy", "no-parts"]) document.getElementById(id).hidden = !running || run.control;
}

arm.addEventListener("click", () => {
  if (armed) { armed = false; allow(); return; }
  put("ask-what", `Each press then disturbs ${run.target || "the target"} at once, for everybody who uses it.`);
  ask.showModal();
});
ask.addEventListener("close", () => { armed = ask.returnValue === "arm"; ask.returnValue = ""; allow(); });

for (const form of forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const order = { kind: form.dataset.kind, ...Object.fromEntries(new FormData(form)) };
    for (const [key, unit] of Object.entries(units)) if (key in order) order[key] = unit ? `${order[key]}${unit}` : Number(order[key]);
    put("answer", "…", "");
    try {
      const answer = await fetch("storm", { method: "POST", headers: { "Content-Type": "application/json", "X-Loadtest-Token": token }, body: JSON.stringify(order) });
      const told = await answer.json();
      if (!answer.ok) put("answer", told.problem, "bad");
      else if (told.back) put("answer", `${told.event} is being taken back.`, "");
      else put("answer", told.joined ? `${told.event} was pressed on another page ${told.ago_s.toFixed(1)} s ago: it is one event.` : `${told.event} struck.`, "");
    } catch (error) {
      put("answer", `No answer: ${error.message}`, "bad");
    }
    refresh();
  });
}

// A form with several kinds shows the fields of the one chosen, and the parts that can have it; the others are not sent.
function fit(form, offered) {
  const chosen = offered.find((each) => each.kind === form.elements.kind.value);
  for (const field of form.querySelectorAll("input, select:not([name=kind])")) {
    field.disabled = !chosen?.keys.includes(field.name);
    field.parentElement.hidden = field.disabled;
  }
  if (chosen?.parts) form.elements.part.replaceChildren(...chosen.parts.map((part) => new Option(part)));
}
const lastingForm = document.getElementById("lasting"), partsForm = document.getElementById("of_parts");
lastingForm.elements.kind.addEventListener("change", () => fit(lastingForm, lasting));
partsForm.elements.kind.addEventListener("change", () => fit(partsForm, ofParts));

// What no part of this target can have stays in the list and cannot be chosen; the reason is told below.
function offerParts(told) {
  if (JSON.stringify(told) === JSON.stringify(ofParts)) return;
  ofParts = told;
  partsForm.elements.kind.replaceChildren(...told.map(({ kind, why_not: whyNot }) => {
    const option = new Option(kind, kind);
    option.disabled = whyNot !== "";
    return option;
  }));
  const missing = told.filter((each) => each.why_not);
  put("why-not", missing.map((each) => `No ${each.kind}: ${each.why_not}.`).join(" "));
  document.getElementById("why-not").hidden = !missing.length;
  fit(partsForm, ofParts);
}
fit(partsForm, ofParts);

function options(id, names, label) {
  const select = document.querySelector(`#${id} select`);
  if (select.dataset.names === names.join()) return;
  select.dataset.names = names.join();
  select.replaceChildren(...names.map((name) => new Option(label(name), name)));
  document.getElementById(id).hidden = !names.length;
}

const back = (times, key) => (times[key] === null ? "not yet" : times[key] === 0 ? "never below" : seconds(times[key]));

function table() {
  document.getElementById("none").hidden = events.length > 0;
  document.querySelector("#events tbody").replaceChildren(...events.map((event) => {
    const recovery = event.recovery, times = recovery.t_sub_s, now = event.curve.subscribed.at(-1);
    const texts = [clock(event.at_s), count(event.dropped), percent(now ?? null), ...["50", "90", "99", "100"].map((key) => back(times, key))];
    texts.push(recovery.t_rec_s === null ? "not yet" : seconds(recovery.t_rec_s), count(recovery.attempts));
    return cells(document.createElement("tr"), event.name, texts);
  }));
  drawRecovery(events);
}

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const told = await getJson("recovery.json");
    events = told.events;
    const kinds = new Map(told.choices.map(({ name, kind }) => [name, kind]));
    options("again", [...kinds.keys()], (name) => (name === kinds.get(name) ? name : `${name} (${kinds.get(name)})`));
    options("back", told.in_place, (name) => name);
    if (lasting.length !== told.lasting.length) {
      lasting = told.lasting;
      options("lasting", lasting.map((each) => each.kind), (name) => name);
      fit(lastingForm, lasting);
    }
    offerParts(told.of_parts);
    table();
  } finally {
    busy = false;
  }
}

onTheme(() => events.length && drawRecovery(events));
onChange((kind) => {
  if (kind === "silence") return;
  allow();
  drawRun("states");
  if (kind !== "line" || run.events.length) refresh().catch((error) => put("answer", error.message, "bad"));
});
begin();
