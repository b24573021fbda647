// The run under way on one page: the last second in figures, the whole run in charts.
import { onChange, run, last } from "./feed.js";
import { begin } from "./frame.js";
import { drawRun } from "./charts.js";
import { clock, count, ms, percent, PHASES, put } from "./words.js";

const STRAINED_MS = 50;

function figures() {
  const subscribed = last("subscribed"), target = last("target");
  put("now-connections", count(subscribed));
  put("now-target", target === null ? "" : `of ${count(target)}`);
  put("now-attempts", count(last("attempts")));
  const failed = Object.entries(run.failures ?? {}).map(([reason, times]) => `${reason} ${count(times)}`);
  put("now-failures", failed.slice(0, 3).join(", "), failed.length ? "bad" : "");
  put("now-p99", ms(last("p99_ms")));
  put("now-p50", last("p50_ms") === null ? "" : `p50 ${ms(last("p50_ms"))}, max ${ms(last("max_ms"))}`);
  const sum = (name) => (run.columns[name] ?? []).reduce((total, value) => total + (value ?? 0), 0);
  const expected = sum("expected"), lost = sum("lost");
  put("now-complete", expected ? percent(sum("settled") / expected) : "–", lost ? "bad" : "");
  put("now-lost", expected ? `${count(lost)} lost, ${count(sum("duplicated"))} twice` : "");
  const lag = last("loop_lag_p99_ms"), late = last("lateness_p99_ms"), cpu = last("cpu_max_percent");
  const strained = Math.max(lag ?? 0, late ?? 0) > STRAINED_MS || (cpu ?? 0) > 90;
  put("now-generator", lag === null && cpu === null ? "–" : strained ? "strained" : "healthy", strained ? "warn" : "");
  put("now-lag", lag === null ? "" : `lag ${ms(lag)}, late ${ms(late)}, CPU ${count(cpu)} %`);
}

function said(mark) {
  if (mark.kind !== "phase") return mark.text ? `${mark.mark}: ${mark.text}` : mark.mark;
  return mark.mark === "done" ? "the run is over" : `${PHASES[mark.mark] ?? mark.mark} begins`;
}

function log() {
  const entries = [...run.log.map(([t, text]) => [t, text]), ...run.marks.map((mark) => [mark.t_s, said(mark)])];
  entries.sort((a, b) => b[0] - a[0]);
  document.getElementById("log").replaceChildren(...entries.slice(0, 60).map(([t, text]) => {
    const item = document.createElement("li"), time = document.createElement("time");
    time.textContent = clock(t);
    item.append(time, text);
    return item;
  }));
}

onChange((kind) => {
  if (kind === "silence") return;
  figures();
  log();
  drawRun("states", "attempts", "fanout", "delivery", "generator");
});
begin();
