// @ts-check
/** Giving one answer to questions that read alike, after all of them were seen. */

import { api, runPath } from "./api.js";
import { byId, fill, h, plural } from "./dom.js";

/**
 * @param {{question: any, label: string, keys: string, isOn: () => boolean,
 *   give: (questions: any[], label: string) => void, leave: () => void}} options
 */
export async function showAlike({ question, label, keys, isOn, give, leave }) {
  const panel = byId("alike");
  const { alike } = await api(`${runPath}/inbox/${encodeURIComponent(question.id)}/alike?limit=24`);
  const near = alike.map((/** @type {any} */ found) => found.similarity);
  const mean = near.reduce((/** @type {number} */ sum, /** @type {number} */ one) => sum + one, 0) / (near.length || 1);
  const spread = Math.sqrt(near.reduce((/** @type {number} */ sum, /** @type {number} */ one) => sum + (one - mean) ** 2, 0) / (near.length || 1));
  const cards = alike.map((/** @type {any} */ found, /** @type {number} */ place) => {
    const isOdd = found.similarity < mean - 1.2 * spread;
    const text = found.question.fields.map((/** @type {any} */ part) => part.text).join("\n");
    return h("button.like", { type: "button", "aria-pressed": String(!isOdd), onclick: (/** @type {any} */ event) => flip(event.currentTarget) },
      keys[place] ? h("kbd", {}, keys[place]) : null,
      isOdd ? h("span.odd", {}, " less alike ") : null,
      h("span.text", { dir: "auto" }, text));
  });
  const isChosen = (/** @type {any} */ card) => card.getAttribute("aria-pressed") === "true";
  const button = h("button.main", { type: "button", onclick: () => done() });
  function flip(/** @type {any} */ card) {
    card.setAttribute("aria-pressed", String(!isChosen(card)));
    count();
  }
  function count() {
    const chosen = cards.filter(isChosen).length;
    fill(button, `Answer ${plural(chosen, "question")} with “${label}” `, h("kbd", {}, "Enter"));
    button.disabled = !chosen;
  }
  function close() {
    panel.hidden = true;
    panel.replaceChildren();
    panel.onkeydown = null;
    leave();
  }
  function done() {
    if (!isSeen) return;
    const chosen = alike.filter((/** @type {any} */ _, /** @type {number} */ place) => isChosen(cards[place]));
    close();
    give(chosen.map((/** @type {any} */ found) => found.question), label);
  }
  panel.onkeydown = (/** @type {KeyboardEvent} */ event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && event.target === panel) done();
    else if (isOn() && keys.includes(event.key) && cards[keys.indexOf(event.key)]) flip(cards[keys.indexOf(event.key)]);
    else return;
    event.preventDefault();
  };
  let isSeen = false;
  const words = alike.length
    ? `${plural(alike.length, "open question")} read${alike.length === 1 ? "s" : ""} like the one that you answered with “${label}”. Take out what is different.`
    : "No open question reads like this one, or the run has not embedded its texts.";
  count();
  fill(panel, h("h2", {}, "More like this"), h("p", {}, words), h("div.likes", {}, ...cards),
    h("div.row", {}, alike.length ? button : null, h("button", { type: "button", onclick: close }, "Leave them ", h("kbd", {}, "Esc"))));
  panel.hidden = false;
  panel.focus();
  requestAnimationFrame(() => setTimeout(() => { isSeen = true; panel.dataset.seen = "yes"; }));
}
