// In Locust's page: shows our pages in their tabs, and fills the start form with what the chosen profile says.
// Locust's own elements stay; a tab of ours is empty there, and the frame below it is ours.
const PAGES = { live: "live", storm: "storm", runs: "runs", workers: "workers", "loadtest-workers": "workers" };
const ours = window.templateArgs?.extended_tabs?.map((tab) => tab.key) ?? [];
const defaults = window.templateArgs?.loadtest_form ?? [];
const style = document.createElement("style");
style.textContent = `
  #loadtest-pane { display: block; width: 100%; border: 0; min-height: calc(100vh - 12rem); }
  #loadtest-links { display: flex; gap: 1.5rem; justify-content: center; padding: 1rem; font: 14px system-ui, sans-serif; }
  #loadtest-links a { color: inherit; }
  .MuiFormControl-root:has(> div > input[name="profile"]), .MuiAutocomplete-root:has(input[name="profile"]) { ${defaults.length ? "display: none !important;" : ""} }
  a[href^="https://aka.ms/"] { display: none !important; }`;
document.head.append(style);

const pane = document.createElement("iframe");
pane.id = "loadtest-pane";
// As high as what it shows: one thing to scroll, not two.
const grow = new ResizeObserver(() => { pane.style.height = `${pane.contentDocument?.body.offsetHeight ?? 0}px`; });
pane.addEventListener("load", () => { grow.disconnect(); grow.observe(pane.contentDocument.body); });
const links = document.createElement("nav");
links.id = "loadtest-links";
links.ariaLabel = "Load test pages";
links.innerHTML = '<a href="./loadtest/live">Live page alone</a><a href="./loadtest/runs">Past runs</a>';

const tabs = () => [...document.querySelectorAll('[role="tab"]')];
const chosen = () => new URLSearchParams(location.search).get("tab");
let shownTabs = false;

function showPane() {
  const key = chosen(), bar = document.querySelector('[role="tablist"]');
  const page = bar && ours.includes(key) ? PAGES[key] : null;
  const place = bar?.closest(".MuiContainer-root");
  if (!page || !place) { pane.remove(); return; }
  const source = `./loadtest/${page}`;
  if (pane.getAttribute("src") !== source) { pane.setAttribute("src", source); pane.title = page; }
  if (pane.parentElement !== place) place.append(pane);
}

function openLive() {
  const bar = tabs();
  if (bar.length && !shownTabs) {
    shownTabs = true;
    if (!chosen()) bar.find((tab) => tab.textContent === "Live")?.click();
  }
  if (!bar.length) shownTabs = false;
}

// React keeps its own copy of a field's value, and hears of a change only through the element's own setter.
function fill(input, value) {
  if (!input) return;
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, String(value));
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

function dressForm(form) {
  if (form.dataset.loadtest) return;
  form.dataset.loadtest = "dressed";
  const select = form.querySelector('select[name="profile"]');
  const accordion = select?.closest(".MuiAccordion-root");
  if (!accordion) return;
  for (const header of form.querySelectorAll(".MuiAccordionSummary-root")) {
    if (header.getAttribute("aria-expanded") === "false") header.click();
  }
  accordion.parentElement.style.display = "flex";
  accordion.style.order = "-1";
  select.addEventListener("change", () => {
    const found = defaults.find((each) => each.label === select.value);
    if (!found) return;
    fill(form.querySelector('input[name="userCount"]'), found.user_count);
    fill(form.querySelector('input[name="spawnRate"]'), found.spawn_rate);
    fill(form.querySelector('input[name="runTime"]'), found.run_time);
  });
}

function look() {
  openLive();
  showPane();
  const forms = [...document.querySelectorAll("form")].filter((form) => form.querySelector('[name="userCount"]'));
  if (defaults.length) {
    forms.forEach(dressForm);
    for (const button of document.querySelectorAll("header button")) if (button.textContent === "Edit") button.style.display = "none";
  }
  const ready = forms.length > 0 && !tabs().length;
  if (ready && !links.isConnected) document.querySelector("main")?.append(links);
  if (!ready) links.remove();
}

let planned = false;
const soon = () => { if (!planned) { planned = true; requestAnimationFrame(() => { planned = false; look(); }); } };
new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
for (const name of ["pushState", "replaceState"]) {
  const original = history[name];
  history[name] = function (...details) { const result = original.apply(this, details); soon(); return result; };
}
addEventListener("popstate", soon);
look();
