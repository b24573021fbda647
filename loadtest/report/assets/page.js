// Draws the figures of the page. Colours in them are roles ("@series-1") that the style sheet defines; they are looked
// up at drawing time, so that a change of theme or the printer only needs another drawing.
(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displaylogo: false, displayModeBar: false, responsive: true, showTips: false };
  const coarse = matchMedia("(pointer: coarse)").matches;

  const role = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  const coloured = (value) => {
    if (typeof value === "string") return value.startsWith("@") ? role(value.slice(1)) || value : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? value : value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  };

  const axis = (own) => ({
    gridcolor: role("rule"), linecolor: role("rule"), zeroline: false, automargin: true, fixedrange: coarse,
    separatethousands: true, exponentformat: "none", ticks: "outside", tickcolor: role("rule"), ticklen: 4, ...own,
    title: { standoff: 10, font: { size: 12, color: role("muted") }, ...own?.title },
  });

  // Ticks of a logarithmic axis: 1, 2, 5 of each decade, or the decades alone where there are many.
  const decades = (traces) => {
    const values = traces.flatMap((trace) => trace.y).filter((y) => y > 0);
    const from = Math.floor(Math.log10(values.reduce((a, b) => Math.min(a, b), 1)));
    const to = Math.ceil(Math.log10(values.reduce((a, b) => Math.max(a, b), 1)));
    const steps = to - from > 3 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let exponent = from; exponent <= to; exponent++) ticks.push(...steps.map((step) => Number(`${step}e${exponent}`)));
    return { tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => tick.toLocaleString("en")) };
  };

  const dressed = (layout) => ({
    ...layout,
    font: { family: role("sans"), size: 12, color: role("ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 16, t: 48, b: 44, ...layout.margin },
    xaxis: { ...axis(layout.xaxis), showgrid: false },
    yaxis: axis(layout.yaxis),
    separators: ".,",
    legend: { traceorder: "normal", orientation: "h", x: 0, xanchor: "left", y: 0, yref: "container", yanchor: "bottom", font: { size: 12 }, itemwidth: 36 },
    hoverlabel: { bgcolor: role("surface"), bordercolor: role("rule"), font: { color: role("ink"), family: role("sans") } },
    dragmode: coarse ? false : "zoom",
    showlegend: true,
  });

  const draw = (key) => {
    const { traces, layout: own } = figures[key];
    const layout = own.yaxis.type === "log" ? { ...own, yaxis: { ...own.yaxis, ...decades(traces) } } : own;
    const place = document.getElementById("chart-" + key);
    Plotly.react(place, coloured(traces), dressed(coloured(layout)), config);
  };
  const drawAll = () => Object.keys(figures).forEach(draw);

  document.querySelectorAll("button.switch").forEach((button) => {
    const yaxis = figures[button.dataset.chart].layout.yaxis;
    const show = () => button.setAttribute("aria-pressed", String(yaxis.type === "log"));
    button.addEventListener("click", () => {
      yaxis.type = yaxis.type === "log" ? "linear" : "log";
      show();
      draw(button.dataset.chart);
    });
    show();
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  const forPrint = (printing) => {
    if (printing) document.documentElement.dataset.theme = "print";
    else delete document.documentElement.dataset.theme;
    document.querySelectorAll("details.as-table").forEach((details) => { details.open = printing; });
    // A sheet is narrower than most windows, and a drawing keeps the width it was made for.
    const sheet = printing ? { width: 660, height: 280 } : { width: undefined, height: undefined };
    Object.values(figures).forEach((figure) => Object.assign(figure.layout, sheet));
    drawAll();
  };
  addEventListener("beforeprint", () => forPrint(true));
  addEventListener("afterprint", () => forPrint(false));
  drawAll();
})();
