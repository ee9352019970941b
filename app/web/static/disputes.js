// @ts-check
/** What two people answered differently, settled one by one by keys; and how each person does. */

import { api, runPath } from "./api.js";
import { byId, fill, h, percent, plural, table } from "./dom.js";
import { showAnswers, showCommands, showItem } from "./inbox_screen.js";

const state = {
  /** @type {any[]} */ disputes: [], /** @type {any[][]} */ lists: [], keys: "", notYours: 0,
  /** @type {any} */ shown: null, shownAt: 0, isSending: false,
};
const desk = byId("desk");

async function refresh() {
  const [page, counts, figures] = await Promise.all(["disputes", "", "people"]
    .map((part) => api(`${runPath}/inbox${part && `/${part}`}`)));
  Object.assign(state, { disputes: page.disputes, lists: page.option_lists, keys: counts.keys, notYours: page.not_yours });
  showFigures(figures);
  render();
}

/** @param {any} figures */
function showFigures(figures) {
  byId("figures").textContent = figures.words || "Nobody was asked twice yet.";
  const share = (/** @type {any} */ one) => (one
    ? `${Math.round(one.value * one.n)} of ${one.n} (${percent(one.low)} to ${percent(one.high)})` : "–");
  fill(byId("people"), table("People", ["Who", "Answered", "Skipped", "Seconds", "Same as others", "Right in gold checks"],
    figures.people.map((/** @type {any} */ one) => [
      one.who, one.answered, one.skipped, one.seconds ? one.seconds.toFixed(1) : "–", share(one.agreement), share(one.gold)])));
}

function render() {
  const dispute = state.disputes[0];
  state.shown = null;
  delete desk.dataset.painted;
  desk.hidden = !dispute;
  byId("nothing").hidden = Boolean(dispute);
  if (!dispute) {
    const words = [h("h2", {}, "There is nothing to settle")];
    if (state.notYours) words.push(h("p", {}, `${plural(state.notYours, "answer")} of yours ${state.notYours === 1 ? "is" : "are"} disputed: somebody else, or an owner, settles that.`));
    fill(byId("nothing"), ...words);
    return;
  }
  const { question, answers } = dispute;
  showItem(question, false);
  byId("why").textContent = `${plural(state.disputes.length, "dispute")} to settle. Two people differ; the first of their answers stands until you say which is right.`;
  fill(byId("given"), ...answers.map((/** @type {any} */ one) => h("div.card", {},
    h("strong", {}, one.answer), h("p.small.text", {}, one.rationale || "No reason given."))));
  showAnswers(ordered(dispute), state.keys, (name) => settle(name));
  showCommands([["s", "Leave it as it is", "leave", () => settle(null)], ["→", "Later", "later", later]]);
  desk.focus({ preventScroll: true });
  // A key counts once its question was on the screen for a frame.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    state.shown = dispute;
    state.shownAt = Date.now();
    desk.dataset.painted = question.id;
  }));
}

/** All options in the order of the keys; the two answers first where there are more than keys. @param {any} dispute */
function ordered(dispute) {
  const options = state.lists[dispute.question.options];
  if (options.length <= state.keys.length) return options;
  const given = new Set(dispute.answers.map((/** @type {any} */ one) => one.answer));
  return [...options.filter(({ name }) => given.has(name)), ...options.filter(({ name }) => !given.has(name))];
}

/** @param {string|null} name nothing leaves the first answer */
async function settle(name) {
  const dispute = state.shown;
  if (!dispute || state.isSending) return;
  state.isSending = true;
  const reply = {
    // The same whenever it is sent, so that it counts once.
    client_id: `settle-${dispute.question.id}-${state.shownAt}`,
    question: dispute.question.id,
    answer: name === null ? { skip: true } : name,
    shown_at_ms: state.shownAt,
    took_ms: Date.now() - state.shownAt,
  };
  try {
    const [receipt] = await api(`${runPath}/inbox/answers`, { method: "POST", body: [reply] });
    byId("said").textContent = receipt.outcome === "accepted"
      ? `Settled: ${name ?? "the first answer stays"}.` : receipt.words;
    state.disputes.shift();
    render();
    if (!state.disputes.length) await refresh();
  } catch (error) {
    byId("said").textContent = `${/** @type {Error} */ (error).message} Nothing is lost: try again.`;
  } finally {
    state.isSending = false;
  }
}

function later() {
  const [first, ...rest] = state.disputes;
  if (first) state.disputes = [...rest, first];
  render();
}

desk.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !state.shown) return;
  const place = event.key.length === 1 ? state.keys.indexOf(event.key) : -1;
  const option = place < 0 ? undefined : ordered(state.shown)[place];
  if (option) settle(option.name);
  else if (event.key === "s") settle(null);
  else if (event.key === "ArrowRight") later();
  else return;
  event.preventDefault();
});

refresh().catch((error) => { byId("figures").textContent = error.message; });
setInterval(() => { if (!document.hidden && !state.disputes.length) refresh().catch(() => {}); }, 15000);
