// Past runs, the newest first: open a report, or tick some and compare their versions.
import { getJson, onChange, run } from "./feed.js";
import { begin } from "./frame.js";
import { count, ms, NONE, put, seconds } from "./words.js";

const MOST = 60;
const picked = new Set();
const button = document.getElementById("compare");

function choose() {
  button.disabled = picked.size < 2 || picked.size > MOST;
  const words = ["Tick runs of two versions (four of each for a verdict); runs of one version count together.", "One ticked: tick another."];
  put("picked", words[picked.size] ?? (picked.size > MOST ? `At most ${MOST} at once.` : `${picked.size} ticked.`));
}

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
  const done = entry.verdict !== "unfinished";
  cell(done ? tick(entry) : "");
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
  document.querySelector("#runs tbody").replaceChildren(...runs.map(row));
  put("left-out", runs.length ? (left_out ? `${left_out} older ones are not listed.` : "") : "No run yet.");
  choose();
}

onChange((kind) => {
  const now = `${run.run} ${run.state}`;
  if (kind === "line" || now === state) return; // the list changes when a run begins or ends
  state = now;
  refresh().catch((error) => put("left-out", error.message));
});
begin();
