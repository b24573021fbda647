// Draws the run with plotly, each chart with the marks of phases and events. Without plotly the figures stay.
import { run } from "./feed.js";
import { onTheme } from "./frame.js";
import { PHASES } from "./words.js";

const STATES = ["subscribed", "subscribing", "opening", "connecting", "waiting"];
let palette = {}; // asking for a style makes the browser work out all of them: once per theme
const colour = (name) => (palette[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
onTheme(() => { palette = {}; });
const escaped = (text) => String(text).replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]).slice(0, 40);
const config = { displayModeBar: false, responsive: true, showTips: false };
const axis = (own) => ({ gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false, fixedrange: true, separatethousands: true, exponentformat: "none", ...own });
const line = (name, x, y, role, more = {}) => ({ name, x, y, mode: "lines", line: { color: colour(role), width: 1.75, ...more.line }, hovertemplate: "%{y}", ...more.trace });

function time() {
  const end = run.columns.t_s?.at(-1) ?? 0;
  const [scale, unit] = end <= 600 ? [1, "s"] : end <= 10800 ? [60, "min"] : [3600, "h"];
  return { x: (run.columns.t_s ?? []).map((t) => t / scale), scale, unit, end: end / scale };
}

function marks({ scale, end }, width) {
  const lines = { muted: "", event: "" }, annotations = [];
  const perPixel = end / Math.max(width - 72, 64);
  const freeFrom = [-1, -1]; // a label needs room; where both rows are full, a mark keeps only its line
  for (const mark of run.marks) {
    const x = mark.t_s / scale, fault = mark.kind !== "phase";
    lines[fault ? "event" : "muted"] += `M${x},0V1`;
    const said = fault ? mark.mark : PHASES[mark.mark] ?? mark.mark, room = (8 + 7 * Math.min(said.length, 40)) * perPixel;
    const toTheLeft = x + room > end, from = toTheLeft ? x - room : x, row = freeFrom.findIndex((free) => from >= free);
    if (row < 0) continue;
    freeFrom[row] = from + room;
    const text = fault ? `<b>${escaped(said)}</b>` : escaped(said);
    annotations.push({ x, y: 1, xref: "x", yref: "paper", yanchor: "bottom", yshift: 13 * row, xanchor: toTheLeft ? "right" : "left", showarrow: false, text, font: { size: 11, color: colour(fault ? "event" : "muted") } });
  }
  // All lines of a kind are one shape: a shape each would cost more than the rest of the chart.
  const shape = (role, width, dash) => ({ type: "path", path: lines[role], xref: "x", yref: "paper", opacity: run.marks.length > 24 ? 0.4 : 1, line: { color: colour(role), width, dash } });
  const shapes = [shape("muted", 0.75, "dot"), shape("event", 1.5, "dash")].filter(({ path }) => path);
  return { shapes, annotations };
}

function draw(id, traces, layout, axisOfTime = null) {
  const place = document.getElementById(id);
  if (!place || !window.Plotly) return;
  const t = axisOfTime;
  Plotly.react(place, traces, {
    font: { family: colour("sans"), size: 12, color: colour("ink") }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 12, t: 34, b: 34 }, separators: ".,", hovermode: "x unified", showlegend: true,
    legend: { orientation: "h", x: 0, y: -0.12, yanchor: "top", traceorder: "normal", font: { size: 11 } },
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("rule"), font: { color: colour("ink") } },
    ...(t ? marks(t, place.clientWidth) : {}), ...layout,
    xaxis: axis({ showgrid: false, ...(t ? { range: [0, Math.max(t.end, 1)], ticksuffix: ` ${t.unit}` } : {}), ...layout.xaxis }),
    yaxis: axis({ rangemode: "tozero", ...layout.yaxis }),
  }, config);
}

const drawings = {
  states: () => {
    const t = time();
    draw("chart-states", STATES.map((state) => ({ name: state, x: t.x, y: run.columns[state], stackgroup: "all", mode: "none", fillcolor: colour(state), hovertemplate: "%{y:,}" })), { yaxis: { tickformat: "~s" } }, t);
  },
  attempts: () => {
    const t = time(), rate = (name) => run.columns[name].map((value, at) => value / run.columns.span_s[at]);
    draw("chart-attempts", [line("attempts", t.x, run.columns.attempts, "series-1"), line("failed", t.x, rate("failed"), "series-2", { line: { dash: "dash" } }), line("drops", t.x, rate("drops"), "series-3", { line: { dash: "dot" } })], { yaxis: { tickformat: "~s" } }, t);
  },
  fanout: () => {
    const t = time();
    const known = run.columns.max_ms.filter((value) => value > 0);
    const wide = known.length && Math.max(...known) > 50 * Math.min(...run.columns.p50_ms.filter((value) => value > 0));
    draw("chart-fanout", [line("p50", t.x, run.columns.p50_ms, "series-1"), line("p99", t.x, run.columns.p99_ms, "series-2", { line: { dash: "dash" } }), line("max", t.x, run.columns.max_ms, "series-3", { line: { dash: "dot", width: 1 } })], { yaxis: { type: wide ? "log" : "linear", ticksuffix: " ms", ...(wide ? { dtick: 1 } : {}) } }, t);
  },
  delivery: () => {
    const t = time();
    const share = run.columns.expected.map((expected, at) => (expected ? (100 * run.columns.settled[at]) / expected : null));
    draw("chart-delivery", [line("complete", t.x, share, "series-4", { trace: { hovertemplate: "%{y:.3f} %" } })], { yaxis: { ticksuffix: " %", rangemode: "normal", range: [Math.min(98, ...share.filter((value) => value !== null)), 100.1] } }, t);
  },
  generator: () => {
    const t = time();
    draw("chart-generator", [line("lateness p99", t.x, run.columns.lateness_p99_ms, "series-1", { trace: { hovertemplate: "%{y} ms" } }), line("loop lag p99", t.x, run.columns.loop_lag_p99_ms, "series-2", { line: { dash: "dash" }, trace: { hovertemplate: "%{y} ms" } }), line("CPU of the busiest", t.x, run.columns.cpu_max_percent, "series-3", { line: { dash: "dot" }, trace: { yaxis: "y2", hovertemplate: "%{y} %" } })],
      { yaxis: { ticksuffix: " ms" }, yaxis2: axis({ overlaying: "y", side: "right", range: [0, 100], tickvals: [0, 50, 100], ticktext: ["0 %", "50 %", "100 %"], showgrid: false }), margin: { l: 60, r: 48, t: 34, b: 34 } }, t);
  },
};

// One chart after the other, from the top: what is seen first is there first, and a click never waits for all of them.
let wanted = [], due = [];
function step() {
  drawings[due.shift()]();
  if (due.length) setTimeout(step);
}
const redraw = () => {
  if (!run.columns.t_s || !window.Plotly || !wanted.length) return;
  const resting = !due.length;
  due = [...wanted];
  if (resting) step();
};
export const drawRun = (...names) => { wanted = names; redraw(); };
onTheme(redraw);

export function drawRecovery(events) {
  const styles = ["solid", "dash", "dot", "dashdot"];
  const traces = events.slice(0, 4).flatMap((event, at) => {
    const { t_s: x, connected, subscribed } = event.curve;
    if (!x.length) return [];
    const until = Math.max(event.elapsed_s, x.at(-1)), all = (ys) => [...ys, ys.at(-1)].map((share) => 100 * share);
    const step = { shape: "hv", dash: styles[at] };
    return [line(`${escaped(event.name)}: subscribed`, [...x, until], all(subscribed), "series-1", { line: step }), line(`${escaped(event.name)}: connected`, [...x, until], all(connected), "series-2", { line: { ...step, width: 1 } })];
  });
  draw("chart-recovery", traces, { xaxis: { ticksuffix: " s", rangemode: "tozero" }, yaxis: { range: [0, 104], ticksuffix: " %" }, margin: { l: 60, r: 12, t: 10, b: 34 } });
}
