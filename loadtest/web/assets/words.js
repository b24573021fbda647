// Figures in words, the same on every page.
export const NONE = "–";
export const count = (value) => (value === null || value === undefined ? NONE : String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ","));
export const ms = (value) => {
  if (value === null || value === undefined) return NONE;
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 100 ? `${value.toFixed(0)} ms` : value >= 10 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`;
};
export const seconds = (value) => {
  if (value === null || value === undefined) return NONE;
  return value >= 600 ? `${(value / 60).toFixed(1)} min` : value >= 100 ? `${value.toFixed(0)} s` : `${value.toFixed(2)} s`;
};
export const clock = (value) => {
  const whole = Math.floor(value ?? 0);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  return (parts[0] === "00" ? parts.slice(1) : parts).join(":");
};
export const percent = (share) => {
  if (share === null || share === undefined) return NONE;
  return share === 1 ? "100 %" : `${Math.min(99.99, Math.floor(share * 10000) / 100).toFixed(2)} %`;
};
export const megabytes = (bytes) => (bytes === null || bytes === undefined ? NONE : `${count(bytes / 1048576)} MB`);
export const PHASES = { ramp: "ramp", warmup: "warm-up", hold: "hold", drain: "drain", done: "end" };

export const put = (id, text, tone) => {
  const place = document.getElementById(id);
  if (!place) return;
  if (place.textContent !== text) place.textContent = text;
  if (tone !== undefined) place.className = place.className.replace(/\b(bad|warn)\b/g, "").trim() + (tone ? ` ${tone}` : "");
};
export const cells = (row, head, texts) => {
  const first = document.createElement("th");
  first.scope = "row";
  first.append(head);
  row.replaceChildren(first, ...texts.map((text) => { const cell = document.createElement("td"); cell.append(text); return cell; }));
  return row;
};
