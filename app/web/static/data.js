// @ts-check
/** The data page: find examples, and see for each what stands and where it comes from. */

import { api, firstRun, runPath } from "./api.js";
import { byId, fill, h, percent, plural } from "./dom.js";
import { PAGE, longList } from "./list.js";
import { showExample } from "./provenance.js";

const SOURCES = { human: "people", llm: "language model", model: "trained model", generated: "written", gold: "file" };
const form = byId("filters");

/** @param {Error} error */
function complain(error) {
  fill(byId("count"), h("span.against", {}, error.message));
}

/** The filters as a query; the address carries them, so that a link shows the same. */
function query() {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "") wanted.append(name, String(value));
  return wanted;
}

/** @param {number} skip @param {number} limit */
async function fetchPage(skip, limit) {
  const wanted = query();
  wanted.set("skip", String(skip));
  wanted.set("limit", String(limit));
  return (await api(`${runPath}/examples?${wanted}`)).examples;
}

const list = longList(byId("list"), {
  height: 34,
  fail: complain,
  fetchPage,
  draw: (/** @type {any} */ row) => {
    const cell = (/** @type {any} */ value, kind = "span") => h(kind, { role: "gridcell" }, value);
    const label = row.label;
    return [
      cell(row.id, "span.muted"),
      cell(Object.values(row.fields).join(" ¦ ")),
      cell(label ? label.answer : row.is_hidden ? "asked again, blind" : row.asked ? "asked of people" : "–", label ? "strong" : "span.muted"),
      cell(label ? (SOURCES[/** @type {keyof SOURCES} */ (label.source)] ?? label.source) : "", "span.muted"),
      cell(label ? percent(label.p_correct) : "", "span.number"),
    ];
  },
  open: (/** @type {any} */ row) => {
    remember(row.id);
    showExample(row.id, list.refresh).catch(complain);
  },
});

/** @param {string} [example] */
function remember(example) {
  const address = query();
  if (example) address.set("example", example);
  history.replaceState(null, "", `?${address}`);
}

let searches = 0;
async function search() {
  remember();
  const mine = ++searches;
  const rows = await fetchPage(0, PAGE);
  if (mine !== searches) return;
  list.show(rows);
  // Counting reads the whole pool: after the first rows, and only where there are more.
  const count = rows.length < PAGE ? rows.length : (await api(`${runPath}/example-count?${query()}`)).count;
  if (mine !== searches) return;
  fill(byId("count"), count ? plural(count, "example") : "No example is like that. Clear a filter.");
  list.setLength(count);
}

let timer = 0;
form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => search().catch(complain), 200);
});
form.addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(() => search().catch(complain)));

async function begin() {
  const address = new URLSearchParams(location.search);
  const select = byId("label");
  const chosen = address.get("label");
  if (chosen) select.append(h("option", { value: chosen }, chosen));
  for (const [name, value] of address) {
    const input = form.elements.namedItem(name);
    if (input) /** @type {HTMLInputElement} */ (input).value = value;
  }
  const example = address.get("example");
  await Promise.all([search(), offerLabels(chosen)]);
  if (example) {
    remember(example);
    await showExample(example, list.refresh);
  }
}

/** @param {string|null} known is offered already */
async function offerLabels(known) {
  const run = await firstRun();
  for (const name of run.labels_offered) if (name !== known) byId("label").append(h("option", { value: name }, name));
}

begin().catch(complain);
