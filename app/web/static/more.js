// @ts-check
/** More for a job that was handed in, and the caps over all of them. */

import { api, upload } from "./api.js";
import { closeDrawer, dollars, fill, h, openDrawer } from "./dom.js";

/** @param {any} job @param {() => Promise<void>} refresh */
export function extendJob(job, refresh) {
  const status = h("p", { role: "status" });
  const isWorkedOn = job.status === "running";
  const labels = job.kind === "label" && !isWorkedOn;
  const number = (/** @type {string} */ name, /** @type {string} */ words, /** @type {any} */ more) =>
    h("p", {}, h("label", {}, words, h("br", {}), h("input", { name, type: "number", ...more })));
  const button = h("button.main", { type: "submit" }, "Give it");
  const form = h("form", {},
    h("p.small.muted", {}, isWorkedOn ? "A job that is worked on takes another cap at once; for rows or rounds, pause it first."
      : "It goes into the queue again with what you give it. Fields that are left empty stay as they are."),
    number("usd", `US dollars that it may cost in all, instead of ${dollars(job.cap)}; ${dollars(job.spent)} are spent`, { min: 0.01, step: 0.01, max: 1000000 }),
    labels && number("rounds", "Rounds that it may have in all", { min: 1, max: 1000 }),
    labels && h("p", {}, h("label", {}, "A file with more rows to label; rows that it has are left out", h("br", {}), h("input", { name: "rows", type: "file" }))),
    button, status);
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    const fields = new FormData(/** @type {HTMLFormElement} */ (form));
    const file = /** @type {File|null} */ (fields.get("rows"));
    /** @type {Record<string, unknown>} */
    const more = {};
    if (fields.get("usd")) more.usd = fields.get("usd");
    if (fields.get("rounds")) more.rounds = Number(fields.get("rounds"));
    button.disabled = true;
    try {
      if (file?.name) {
        fill(status, `Sending ${file.name} …`);
        more.rows = (await upload(file)).file;
      }
      if (!Object.keys(more).length) throw new Error("Say what it gets: an amount, rounds, or a file with rows.");
      fill(status, "It is being given …");
      const done = await api(`/jobs/${encodeURIComponent(job.id)}/extend`, { method: "POST", body: more });
      fill(status, h("span.good", {}, isWorkedOn ? "It has the new cap." : "It is in the queue again."), ...done.told.map((/** @type {string} */ line) => h("span.small.muted", {}, ` ${line}`)));
      await refresh();
    } catch (error) {
      fill(status, h("span.against", {}, /** @type {Error} */ (error).message));
      button.disabled = false;
    }
  });
  openDrawer(`More for ${job.name}`, form, h("p", {}, h("button.quiet", { type: "button", onclick: closeDrawer }, "Done")));
}

/** Show and set what all runs and jobs may cost. @param {any} form */
export function capsForm(form) {
  const said = form.querySelector(".said");
  const names = { workspace: "together", day: "today" };

  /** @param {any[]} caps */
  function show(caps) {
    for (const name of Object.keys(names)) {
      form.elements.namedItem(name).value = caps.find((cap) => cap.name === name)?.usd ?? "";
    }
    fill(said, ...caps.map((cap) => h("p", {}, `Of ${dollars(cap.usd)} ${names[/** @type {"day"|"workspace"} */ (cap.name)]}, ${dollars(cap.remaining)} are left; ${dollars(cap.reserved)} are set aside.`)),
      !caps.length && h("p", {}, "No cap is set."));
  }

  /** @param {Error} error */
  const complain = (error) => fill(said, h("span.against", {}, error.message));
  form.addEventListener("submit", async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      const before = await api("/caps");
      for (const name of Object.keys(names)) {
        const wanted = form.elements.namedItem(name).value;
        const known = before.find((/** @type {any} */ cap) => cap.name === name)?.usd ?? "";
        if (wanted !== known) await api(`/caps/${name}`, { method: "POST", body: { usd: wanted === "" ? null : wanted } });
      }
      show(await api("/caps"));
    } catch (error) {
      complain(/** @type {Error} */ (error));
    }
  });
  api("/caps").then(show, complain);
}
