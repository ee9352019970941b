// @ts-check
/** What agents decided: one decision as the pages show it, and those of a job wave by wave. */

import { api } from "./api.js";
import { dollars, facts, fill, h, plural } from "./dom.js";

/** @param {string} agent */
export function agentName(agent) {
  return agent.replace("_", " ");
}

/** @param {any} made @param {...any} before what stands above it @returns {any} */
export function decision(made, ...before) {
  const disagreed = made.rules_say.length > 0 && made.mind === "llm";
  return h("section", {}, ...before,
    h("p", {}, made.reason),
    h("p.small.muted", {}, `By ${made.by}${made.asked ? ` (${made.asked})` : ""}${Number(made.usd) > 0 ? `, for ${dollars(made.usd)}` : ""}`),
    made.fell_back && h("p.small.warn", {}, `The rules took over: ${made.fell_back}`),
    h("h3", {}, "What it ruled"), facts(made.ruled),
    made.looked_up.length > 0 && h("h3", {}, "What it looked up"), made.looked_up.length > 0 && facts(made.looked_up),
    disagreed && h("h3", {}, "What the rules would have ruled"), disagreed && facts(made.rules_say),
    h("h3", {}, "What it knew"), facts(made.knew));
}

/** What the agents of a job decided, newest wave first; read when it is opened. @param {string} job @returns {any} */
export function decisionsOf(job) {
  const waves = h("div", {});
  const more = h("button.quiet.small", { type: "button", hidden: true, onclick: () => read() }, "Earlier waves");
  const said = h("p.small.muted", { role: "status" });
  /** @type {number|null} */
  let before = null;

  async function read() {
    more.disabled = true;
    fill(said, "Reading …");
    try {
      const page = await api(`/jobs/${encodeURIComponent(job)}/decisions${before === null ? "" : `?before=${before}`}`);
      const numbers = [...new Set(page.decisions.map((/** @type {any} */ made) => made.round))];
      waves.append(...numbers.map((number) => wave(number, page.decisions.filter((/** @type {any} */ made) => made.round === number))));
      before = page.next;
      more.hidden = before === null;
      fill(said, waves.childElementCount ? "" : "No agent has decided anything yet.");
    } catch (error) {
      // What was not read can be asked for again.
      more.hidden = false;
      fill(said, h("span.against", {}, /** @type {Error} */ (error).message));
    }
    more.disabled = false;
  }

  const box = h("details.decisions", {}, h("summary", {}, "What the agents decided, wave by wave"), waves, said, more);
  box.addEventListener("toggle", () => read(), { once: true });
  return box;
}

/** @param {number} number @param {any[]} made */
function wave(number, made) {
  const who = [...new Set(made.map((one) => agentName(one.agent)))].join(", ");
  const paid = made.reduce((sum, one) => sum + Number(one.usd), 0);
  return h("details.card", {},
    h("summary.small", {}, `Wave ${number}`, h("span.muted", {}, ` ${plural(made.length, "decision")}: ${who}${paid > 0 ? `, ${dollars(paid)}` : ""}`)),
    ...made.map((one) => decision(one, h("h3", {}, agentName(one.agent)))));
}
