// Past runs, the newest first: open a report, or tick some and compare their versions.
import { getJson, onChange, run } from "./feed.js";
import { begin } from "./frame.js";
import { count, ms, NONE, put, seconds } from "./words.js";

const MOST = 60;
const picked = new Set();
let listed = [];
const button = document.getElementById("compare");

function choose() {
  button.disabled = picked.size < 2 || picked.size > MOST;
  const words = ["Tick runs of two versions (five of each for a verdict); runs of one version count together.", "One ticked: tick another."];
  const counts = new Map();
  for (const entry of listed.filter(({ id }) => picked.has(id)).reverse()) {
    const name = entry.version ?? entry.profile ?? entry.id;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const chosen = [...counts].map(([name, times]) => `${name} (${times === 1 ? "1 run" : `${times} runs`})`).join(" with ");
  put("picked", words[picked.size] ?? (picked.size > MOST ? `At most ${MOST} at once.` : counts.size > 1 ? `Compare ${chosen}.` : `${chosen}: tick runs of another version, or compare them with each other.`));
  const boxes = listed.filter(done);
  all.checked = boxes.length > 0 && boxes.every(({ id }) => picked.has(id));
  all.disabled = !boxes.length;
}

const all = document.getElementById("all");
const done = (entry) => !entry.problem && entry.verdict !== "unfinished";
all.addEventListener("change", () => {
  for (const { id } of listed.filter(done)) if (all.checked) picked.add(id); else picked.delete(id);
  show();
});

button.addEventListener("click", () => {
  const query = new URLSearchParams([...picked].map((id) => ["run", id]));
  window.open(`compare?${query}`, "_blank");
});

function tick(entry) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = picked.has(entry.id);
  box.ariaLabel = `Pick ${entry.id}`;
  box.addEventListener("change", () => { if (box.checked) picked.add(entry.id); else picked.delete(entry.id); choose(); });
  return box;
}

function link(entry) {
  const open = document.createElement("a");
  open.href = `report/${encodeURIComponent(entry.id)}`;
  open.target = "_blank";
  open.textContent = "Open";
  return open;
}

function row(entry) {
  const line = document.createElement("tr");
  const cell = (content, name = "td") => { const made = document.createElement(name); made.append(content ?? NONE); line.append(made); return made; };
  if (entry.problem) {
    cell("");
    cell(entry.id, "th").scope = "row";
    const told = cell(entry.problem);
    told.colSpan = 8;
    told.className = "bad wrap";
    return line;
  }
  cell(done(entry) ? tick(entry) : "");
  cell((entry.started_at ?? entry.id).slice(0, 19).replace("T", " "), "th").scope = "row";
  cell(entry.profile);
  cell(entry.version);
  cell(count(entry.connections));
  const verdict = cell(entry.verdict);
  verdict.title = entry.reasons.join(" ");
  if (entry.verdict === "fail" || entry.verdict === "invalid") verdict.className = "bad";
  const event = entry.events?.length > 0, back = (time) => (!event ? NONE : time === null ? "not recovered" : seconds(time));
  cell(ms(entry.fanout_p99_ms));
  cell(back(entry.t_sub_99_s));
  cell(back(entry.t_rec_s));
  cell(link(entry));
  return line;
}

let state = null;
async function refresh() {
  const { runs, left_out } = await getJson("runs.json");
  const ids = new Set(runs.map((entry) => entry.id));
  [...picked].filter((id) => !ids.has(id)).forEach((id) => picked.delete(id));
  listed = runs;
  show();
  put("left-out", runs.length ? (left_out ? `${left_out} older ones are not listed.` : "") : "No run yet.");
}

function show() {
  document.querySelector("#runs tbody").replaceChildren(...listed.map(row));
  choose();
}

onChange((kind) => {
  const now = `${run.run} ${run.state}`;
  if (kind === "line" || now === state) return; // the list changes when a run begins or ends
  state = now;
  refresh().catch((error) => put("left-out", error.message));
});
begin();
