// @ts-check
/** The list of runs, choices and jobs' runs. */

import { api, here } from "./api.js";
import { byId, dollars, fill, h, percent, table } from "./dom.js";

const KINDS = { loop: "loop", choice: "search", create: "creates rows" };

async function show() {
  const runs = await api("/runs");
  const box = byId("runs");
  if (!runs.length) {
    const first = here.role === "owner" && h("p", {}, h("a.button.main", { href: "/jobs" }, "Label a file"), " with the form on the page Jobs,");
    fill(box, h("p", {}, "There is no run here yet."), first, h("p", {}, first ? "or start one in a terminal:" : "An owner starts one."),
      first && h("pre.card", {}, "querist demo\nquerist run task.toml"));
    return;
  }
  const place = (/** @type {any} */ run) => `/runs/${encodeURIComponent(run.id)}`;
  const head = ["Run", "What", "State", "Labels", "Open questions", "Measured", "Spent", "Begun"];
  fill(box, table("Runs", head, runs.map((/** @type {any} */ run) => [
    run.kind === "loop" ? h("a", { href: place(run) }, run.id) : run.id,
    KINDS[/** @type {keyof KINDS} */ (run.kind)] ?? run.kind,
    h("span.status", { "data-status": run.status }, run.status),
    run.labels,
    run.open_questions ? h("td.number", {}, h("a", { href: `${place(run)}/inbox` }, run.open_questions.toLocaleString("en"))) : 0,
    h("td.number", {}, percent(run.metric)),
    h("td.number", {}, `${dollars(run.spent)} of ${dollars(run.cap)}`),
    new Date(run.at).toLocaleString()])));
}

show().catch((error) => fill(byId("runs"), h("p.against", {}, error.message)));
