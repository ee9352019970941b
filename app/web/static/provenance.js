// @ts-check
/** One example in the drawer: what stands, who chose it, who said what, for how much. */

import { api, here, runPath } from "./api.js";
import { dollars, facts, fill, h, openDrawer, percent } from "./dom.js";

/** @type {any} */
let task = null;

/** The example that is open, for the chat's "this". */
const CHECKS = { second: "second opinion", adjudication: "to settle a dispute", gold: "to try who answers" };

export let openExample = "";

/** @param {string} id @param {() => void} changed is called when the label was corrected */
export async function showExample(id, changed) {
  const [found, run] = await Promise.all([
    api(`${runPath}/examples/${encodeURIComponent(id)}`), task ?? api(runPath)]);
  task = run;
  openExample = id;
  const label = found.label;
  openDrawer(id,
    ...Object.entries(found.fields).map(([name, text]) => h("div", {},
      Object.keys(found.fields).length > 1 && h("h3", {}, name), h("p.text.card", { dir: "auto" }, text))),
    h("h3", {}, "What stands"),
    label ? h("p", {}, h("strong", {}, label.answer), ` by ${label.who}, ${percent(label.p_correct)} sure, round ${label.round}${found.is_disputed ? "; two people differ on it" : ""}`)
      : h("p.muted", {}, found.is_hidden ? "Somebody is asked for an opinion of their own on it: what was said is shown when they have answered." : "No label stands."),
    here.role === "owner" && run.labels_offered.length > 0 && corrector(found, run, changed),
    h("h3", {}, "How it was chosen"),
    found.chosen.length ? h("ul", {}, ...found.chosen.map((/** @type {string} */ words) => h("li.small", {}, words)))
      : h("p.small.muted", {}, "It was in no batch yet."),
    found.said.length > 0 && h("h3", {}, "Who said what"),
    ...found.said.map((/** @type {any} */ one) => h("div.card", {},
      facts([
        ["who", one.who], ["answer", one.answer || one.status],
        ["sure", percent(one.confidence)], ["round", String(one.round)],
        ["prompt", one.prompt_version || "–"], ["cost", dollars(one.usd)],
        ...(one.guidelines.length ? [/** @type {[string, string]} */ (["guidelines", one.guidelines.join("; ")])] : []),
      ]),
      one.rationale && h("p.small.text", {}, one.rationale))),
    found.verdicts.length > 0 && h("h3", {}, "What the verifier made of it"),
    ...found.verdicts.map((/** @type {any} */ one) => h("p.small", {}, `Round ${one.round}: ${one.action}${one.answer ? ` ${one.answer}` : ""} (${percent(one.p_correct)} sure). ${one.reason}`)),
    found.questions.length > 0 && h("h3", {}, "What people were asked"),
    ...found.questions.map((/** @type {any} */ one) => h("p.small", {}, `${one.checks ? `${CHECKS[/** @type {keyof CHECKS} */ (one.checks)]}, ` : ""}${one.status}${one.answer ? `: ${one.answer}` : ""}${one.by ? ` by ${one.by}` : ""}. Asked because: ${one.reason}`)),
    ...found.aside.map((/** @type {string} */ words) => h("p.small", {}, words)),
    h("p.small.muted", {}, `All opinions on it cost ${dollars(found.usd)}.`),
    likeness(id, changed));
}

/** @param {string} id @param {() => void} changed @returns {any} */
function likeness(id, changed) {
  const box = h("div", {});
  const show = async () => {
    try {
      const like = await api(`${runPath}/alike?example=${encodeURIComponent(id)}`);
      fill(box, h("h3", {}, "Most like it"), ...(like.length ? like.map((/** @type {any} */ one) => h("p.small", {},
        h("button.quiet", { type: "button", onclick: () => showExample(one.example.id, changed) }, one.example.id), " ",
        h("span.text", { dir: "auto" }, Object.values(one.example.fields).join(" ¦ ").slice(0, 200)),
        h("span.muted", {}, ` ${one.example.label ? one.example.label.answer : one.example.is_hidden ? "asked again, blind" : "no label"}, ${percent(one.similarity)} alike`)))
        : [h("p.small.muted", {}, "Nothing is much like it, or the pool is not embedded yet.")]));
    } catch (error) {
      fill(box, h("p.small.against", {}, /** @type {Error} */ (error).message));
    }
  };
  fill(box, h("button", { type: "button", onclick: show }, "More like this"));
  return box;
}

/** @param {any} found @param {any} run @param {() => void} changed @returns {any} */
function corrector(found, run, changed) {
  const select = h("select", { "aria-label": "Its right label" },
    ...run.labels_offered.map((/** @type {string} */ name) => h("option", { value: name, selected: name === found.label?.answer }, name)));
  const said = h("span.small", { role: "status" });
  const form = h("form.row", { onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await api(`${runPath}/commands`, { method: "POST", key: crypto.randomUUID(), body: { name: "correct", arguments: { example: found.id, label: select.value } } });
      fill(said, "Kept as yours; the loop puts it in place at its next step.");
      setTimeout(changed, 1500);
    } catch (error) {
      fill(said, /** @type {Error} */ (error).message);
    }
  } }, select, h("button", { type: "submit" }, "Correct"), said);
  return form;
}
