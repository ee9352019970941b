// @ts-check
/** Jobs: hand one in after its quote, watch it, stop it, take what it made. */

import { api, here, upload } from "./api.js";
import { attributeFinder, attributesOf } from "./attributes.js";
import { decisionsOf } from "./decisions.js";
import { byId, dollars, fill, h, openDrawer, percent, table } from "./dom.js";
import { capsForm, extendJob } from "./more.js";

const isOwner = here.role === "owner";

// ---------------------------------------------------------------- the list

let isFirst = true;
/** @type {Map<string, any>} */
const cards = new Map();

async function refresh() {
  const jobs = await api("/jobs");
  const box = byId("jobs");
  if (!jobs.length) {
    const first = /** @type {HTMLDetailsElement|null} */ (document.getElementById("new-label"));
    if (isFirst && first) first.open = true;
    fill(box, h("p", {}, isOwner ? "There are no jobs yet. Open a form above, or hand one in with querist job submit." : "There are no jobs yet."));
    isFirst = false;
    return;
  }
  if (!cards.size) box.replaceChildren();
  for (const job of jobs.slice().reverse()) {
    const known = cards.get(job.id);
    const state = JSON.stringify(job);
    if (known?.state === state) continue;
    const element = cardOf(job);
    if (known) known.element.replaceWith(element);
    else box.prepend(element);
    cards.set(job.id, { state, element });
  }
}

/** @param {any} job @returns {any} */
function cardOf(job) {
  const is = (/** @type {string[]} */ ...states) => states.includes(job.status);
  const act = (/** @type {string} */ what, /** @type {string} */ words, kind = "") => h(`button${kind}`, { type: "button", onclick: () => {
    if (what === "cancel" && !confirm(`End job ${job.id} for good? What it made so far can still be taken.`)) return;
    api(`/jobs/${encodeURIComponent(job.id)}/${what}`, { method: "POST" }).then(refresh, complain);
  } }, words);
  const bar = job.wanted ? h("div.bar", { role: "img", "aria-label": `${job.accepted} of ${job.wanted} rows are accepted` }, h("span")) : null;
  if (bar) bar.firstChild.style.width = `${Math.min(100, (100 * job.accepted) / job.wanted)}%`;
  const path = `/api/jobs/${encodeURIComponent(job.id)}/result?format=`;
  return h("section.card.job", { "aria-label": `Job ${job.name}` },
    h("div.row", {}, h("h2", {}, job.name), h("span.status", { "data-status": job.status }, job.status), h("span.small.muted", {}, job.id)),
    bar, h("p.small", {}, job.words), job.reason && h("p.small.muted", {}, job.reason),
    h("div.row", {},
      job.kind === "create" ? h("button", { type: "button", onclick: () => showJob(job.id).catch(complain) }, "How it goes")
        : h("a.button", { href: `/runs/${encodeURIComponent(job.run)}` }, "Its run"),
      job.status === "waiting" && here.role !== "viewer" && h("a.button", { href: `/runs/${encodeURIComponent(job.run)}/inbox` }, "Answer"),
      isOwner && is("queued", "running", "waiting") && act("pause", "Pause"),
      isOwner && is("paused", "failed", "interrupted", "cancelled") && act("resume", "Go on"),
      isOwner && !is("cancelled") && h("button", { type: "button", onclick: () => extendJob(job, refresh) }, "Give it more"),
      isOwner && is("queued", "running", "waiting", "paused", "interrupted") && act("cancel", "Cancel", ".danger"),
      job.accepted > 0 && h("span.small", {}, "Take it: ", ...["jsonl", "csv", "parquet", "label-studio"].flatMap((form) => [h("a", { href: path + form, download: "" }, form), " "]))));
}

/** @param {string} id */
async function showJob(id) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const [job, accepted, rejected] = await Promise.all([api(path), api(`${path}/rows?status=accepted&limit=10`), api(`${path}/rows?status=rejected&limit=10`)]);
  const sample = (/** @type {any} */ row) => h("div.card", {}, h("p.text.small", { dir: "auto" }, Object.values(row.record).join(" ¦ ")),
    h("p.small.muted", {}, [row.is_hidden ? "asked of people, blind" : row.label, ...Object.values(row.attributes)].filter(Boolean).join(", ")),
    row.reason && h("p.small.against", {}, `${row.gate}: ${row.reason}`));
  openDrawer(job.name, h("p", {}, job.words), Number(job.each) > 0 && h("p.small", {}, `An accepted row costs ${dollars(job.each)}.`),
    h("h3", {}, "What each gate lets pass"), job.gates.length ? table("Gates", ["Gate", "Looked at", "Let pass", ""],
      job.gates.map((/** @type {any} */ gate) => [gate.name, gate.seen, gate.passed, h("td.number", {}, percent(gate.seen ? gate.passed / gate.seen : null))])) : h("p.small.muted", {}, "No row was written yet."),
    decisionsOf(job.id),
    h("h3", {}, "Accepted last"), ...(accepted.length ? accepted.map(sample) : [h("p.small.muted", {}, "None yet.")]),
    h("h3", {}, "Rejected last"), ...(rejected.length ? rejected.map(sample) : [h("p.small.muted", {}, "None yet.")]));
}

/** @param {Error} error */
function complain(error) {
  fill(byId("jobs").parentElement?.querySelector("#complaint") ?? addComplaint(), error.message);
}

function addComplaint() {
  const line = h("p.against", { id: "complaint", role: "alert" });
  byId("jobs").before(line);
  return line;
}

// ---------------------------------------------------------------- handing in

/** @param {string} words one label a line: "name: meaning" */
function labelsOf(words) {
  /** @type {Record<string, string>} */
  const labels = {};
  for (const line of words.split("\n")) {
    const [name, ...meaning] = line.split(":");
    if (name.trim()) labels[name.trim()] = meaning.join(":").trim();
  }
  return labels;
}

/** A line of a quote, amounts as amounts. @param {string[]} line */
function usdOf([who, what, about, most]) {
  return [who, what, ...[about, most].map((usd) => h("td.number", {}, usd === "" ? "–" : dollars(usd)))];
}

/** @param {HTMLFormElement} form @param {(fields: FormData, file: string) => any} build */
function jobForm(form, build) {
  const quote = /** @type {any} */ (form.querySelector(".quote"));
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
  const status = /** @type {any} */ (form.querySelector(".upload"));
  let file = "";
  let key = crypto.randomUUID(); // a click that is repeated hands in one job
  let asked = 0;

  async function ask() {
    button.disabled = true;
    const fields = new FormData(form);
    if (!form.checkValidity() || !Object.keys(labelsOf(String(fields.get("labels")))).length || (form.id === "label" && !file)) {
      fill(quote, h("p.small.muted", {}, form.id === "label" ? "The quote comes when there are a file and labels." : "The quote comes when there are labels."));
      return;
    }
    const mine = ++asked;
    quote.classList.add("stale");
    if (form.id === "label") fill(quote, h("p.small.muted", {}, "The file is read and a call is timed …"));
    try {
      const found = await api("/jobs/quote", { method: "POST", body: build(fields, file) });
      if (mine !== asked) return;
      fill(quote, h("p", {}, `About ${dollars(found.forecast)} of at most ${dollars(found.cap)}${found.seconds ? `, about ${Math.ceil(found.seconds / 60)} min of model calls, beside embedding, training and people` : ""}. ${found.advice}`),
        found.lines.length > 0 && table("What it is for", ["Who", "What for", "About", "At most"], found.lines.map(usdOf)),
        ...found.told.map((/** @type {string} */ line) => h("p.small.muted", {}, line)));
      button.disabled = false;
    } catch (error) {
      if (mine === asked) fill(quote, h("p.against", {}, /** @type {Error} */ (error).message));
    } finally {
      if (mine === asked) quote.classList.remove("stale");
    }
  }

  let timer = 0;
  form.addEventListener("input", (event) => {
    key = crypto.randomUUID();
    if (/** @type {HTMLInputElement} */ (event.target).type === "file") return;
    button.disabled = true;
    clearTimeout(timer);
    timer = setTimeout(ask, 500);
  });
  form.querySelector("input[type=file]")?.addEventListener("change", async (event) => {
    const [chosen] = /** @type {HTMLInputElement} */ (event.target).files ?? [];
    file = "";
    if (!chosen) { fill(status, ""); return ask(); }
    fill(status, `Sending ${chosen.name} …`);
    try {
      const kept = await upload(chosen);
      file = kept.file;
      fill(status, `${kept.name}, ${(kept.size / 1024).toFixed(0)} kB. ${kept.notes.join(" ")}`);
      preview(kept);
    } catch (error) {
      fill(status, h("span.against", {}, /** @type {Error} */ (error).message));
    }
    return ask();
  });

  /** @param {any} kept */
  function preview(kept) {
    const box = form.querySelector(".preview");
    if (box) fill(box, h("p.small.muted", {}, "The first rows as they are read"), table("The first rows", kept.columns, kept.rows));
    const select = /** @type {any} */ (form.elements.namedItem("text"));
    const columns = kept.text_columns.length ? kept.text_columns : kept.columns;
    if (select) fill(select, ...columns.map((/** @type {string} */ name) => h("option", { value: name }, name)));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    fill(quote, h("p", {}, "It is being handed in …"));
    try {
      const done = await api("/jobs", { method: "POST", body: build(new FormData(form), file), key });
      fill(quote, h("p.good", {}, `Job ${done.job} is in the queue.`));
      key = crypto.randomUUID();
      await refresh();
      // Where it is now is what they look for next; the form keeps what they wrote.
      /** @type {HTMLDetailsElement} */ (form.closest("details")).open = false;
      cards.get(done.job)?.element.scrollIntoView({ block: "center" });
    } catch (error) {
      fill(quote, h("p.against", {}, /** @type {Error} */ (error).message));
      button.disabled = false;
    }
  });
  if (form.querySelector(".find")) attributeFinder(form, () => build(new FormData(form), file));
  void ask();
}

/** @param {FormData} fields @param {string} file */
function createRequest(fields, file) {
  return {
    kind: "create", name: fields.get("name"), rows: Number(fields.get("rows")), gates: fields.getAll("gate"),
    task: { name: fields.get("name"), labels: labelsOf(String(fields.get("labels"))), instructions: fields.get("instructions") },
    budget: { usd: fields.get("usd") }, models: { annotator: fields.get("model") },
    people: { sample: Number(fields.get("sample")) }, attributes: attributesOf(String(fields.get("attributes"))), ...(file ? { seeds: { file } } : {}),
  };
}

/** @param {FormData} fields @param {string} file */
function labelRequest(fields, file) {
  return {
    kind: "label", name: fields.get("name"),
    config: {
      task: { name: fields.get("name"), labels: labelsOf(String(fields.get("labels"))), instructions: fields.get("instructions") },
      data: { pool: file, text: fields.get("text") }, budget: { usd: fields.get("usd") },
      models: { annotator: fields.get("model") },
    },
  };
}

if (isOwner) {
  jobForm(byId("create"), createRequest);
  jobForm(byId("label"), labelRequest);
  capsForm(byId("caps"));
}
refresh().catch(complain);
setInterval(() => { if (!document.hidden) refresh().catch(complain); }, 2000);
