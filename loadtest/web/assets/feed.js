// The run as this page knows it: the history once, then each second as it happens. Bounded: when the rows are too many,
// the history, which the server keeps bounded, is asked for again. A page that nobody sees follows nothing.
const MOST_ROWS = 2400;

export const run = { names: [], columns: {}, marks: [], log: [], events: [], state: "", title: "", target: "", outcome: {}, seq: 0 };
const listeners = [];
let source = null;
let asking = null;

export const onChange = (listener) => { listeners.push(listener); };
const changed = (kind) => listeners.forEach((listener) => listener(kind));

export const last = (name) => { const column = run.columns[name]; return column?.length ? column[column.length - 1] : null; };
export const getJson = async (path) => {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};

async function load() {
  asking ??= getJson("history.json").finally(() => { asking = null; });
  Object.assign(run, await asking);
  changed("history");
}

const handlers = {
  run: () => load(),
  line: (told) => {
    run.names.forEach((name, at) => run.columns[name].push(told.row[at]));
    run.log.push(...told.log);
    run.log.splice(0, run.log.length - 100);
    Object.assign(run, { phase: told.phase, events: told.events, workers: told.workers, failures: told.failures });
    if (run.columns.t_s.length > MOST_ROWS) load(); else changed("line");
  },
  mark: (told) => { run.marks.push(told); changed("mark"); },
};

function follow() {
  source = new EventSource("stream");
  // What happened before the stream was open is in the history; what is in both is known by its number.
  source.onopen = () => load().catch(() => {});
  source.onerror = () => { changed("silence"); if (!run.names.length) load().catch(() => {}); }; // too many follow: once
  for (const [kind, handle] of Object.entries(handlers)) {
    source.addEventListener(kind, async (event) => {
      const told = JSON.parse(event.data);
      if (asking) await asking.catch(() => {});
      if (told.seq <= run.seq) return;
      run.seq = told.seq;
      handle(told);
    });
  }
}

export function start() {
  const look = () => {
    if (document.hidden) { source?.close(); source = null; } else if (!source) follow();
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => { source?.close(); source = null; });
  look();
}
