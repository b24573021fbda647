// How each worker is: its connections, and whether it keeps up.
import { getJson, onChange, run } from "./feed.js";
import { begin } from "./frame.js";
import { drawRun } from "./charts.js";
import { cells, count, megabytes, ms, NONE, put } from "./words.js";

let busy = false;

async function refresh() {
  if (busy) return;
  busy = true;
  try {
    const { workers } = await getJson("workers.json");
    const none = document.getElementById("none");
    none.hidden = workers.length > 0;
    none.textContent = run.state === "starting" ? "The workers are being started." : "No run yet.";
    document.querySelector("#workers tbody").replaceChildren(...workers.map((worker) => {
      const cpu = worker.cpu_percent === null ? NONE : `${count(worker.cpu_percent)} %`;
      const row = cells(document.createElement("tr"), `${worker.number} ${worker.role}`, [count(worker.connections), count(worker.subscribed), ms(worker.loop_lag_p99_ms), cpu, megabytes(worker.rss_bytes), ms(worker.clock_error_ms), worker.lost ? `lost: ${worker.lost}` : worker.host || "here"]);
      if (worker.lost) row.className = "lost";
      return row;
    }));
  } finally {
    busy = false;
  }
}

onChange((kind) => {
  if (kind === "silence") return;
  drawRun("generator");
  refresh().catch((error) => put("none", error.message));
});
begin();
