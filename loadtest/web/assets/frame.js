// What every page has: its theme, its heading, its state; in a frame of Locust's page the links are Locust's tabs.
import { onChange, run, last, start } from "./feed.js";
import { clock, put, PHASES } from "./words.js";

const root = document.documentElement;
if (window.parent !== window) root.dataset.framed = "";

const dark = matchMedia("(prefers-color-scheme: dark)");
const redraws = [];
export const onTheme = (redraw) => { redraws.push(redraw); };
const dress = () => {
  const chosen = localStorage.theme; // Locust's own switch
  root.dataset.theme = chosen === "dark" || chosen === "light" ? chosen : dark.matches ? "dark" : "light";
  redraws.forEach((redraw) => redraw());
};
dress();
dark.addEventListener("change", dress);
addEventListener("storage", (event) => { if (event.key === "theme") dress(); });

// Charts come when plotly does; figures do not wait for it.
document.getElementById("plotly").addEventListener("load", () => redraws.forEach((redraw) => redraw()));

const TONES = { pass: "pass", fail: "fail", invalid: "fail", interrupted: "" };
const show = (kind) => {
  put("title", run.title || "Gateway load test");
  put("target", run.target || "");
  const verdict = run.outcome.verdict;
  const words = { ready: "ready", starting: "starting", running: PHASES[run.phase] ?? "running", over: verdict ?? "over" };
  const state = document.getElementById("state");
  state.textContent = kind === "silence" ? "no connection" : words[run.state] ?? "…";
  state.dataset.tone = run.state === "running" || run.state === "starting" ? "run" : TONES[verdict] ?? (run.outcome.problem ? "fail" : "");
  put("clock", last("t_s") === null ? "" : clock(last("t_s")));
  const problems = run.state !== "over" ? [] : [run.outcome.problem, ...(run.outcome.reasons ?? [])].filter(Boolean);
  const alert = document.getElementById("alert");
  alert.hidden = !problems.length;
  alert.textContent = problems.join(" ");
  const after = document.getElementById("after");
  after.hidden = run.state !== "over" || !run.outcome.run_id;
  if (!after.hidden) document.getElementById("report").href = `report/${encodeURIComponent(run.outcome.run_id)}`;
};
onChange(show);
export const begin = () => start();
