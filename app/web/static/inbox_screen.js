// @ts-check
/** What the inbox shows. Texts of data only ever become text nodes. */

import { byId, fill, h, plural } from "./dom.js";

const FOLDED = 6000;
/** Characters that are laid out while a text is folded: one of a megabyte would hold up the next key. */

/** @param {any} question @param {boolean} isFolded */
export function showItem(question, isFolded) {
  const item = byId("item");
  item.classList.toggle("folded", isFolded);
  const fields = question.fields.map((/** @type {any} */ part) => field(part, isFolded));
  const compared = question.beside ? fields.splice(-question.beside) : [];
  if (compared.length) fields.push(h("div.beside", {}, ...compared));
  fill(item, ...fields);
  const due = question.due ? `${new Date(question.due) < new Date() ? "overdue since" : "due"} ${moment(question.due)}` : "";
  byId("why").textContent = `Asked because: ${question.reason}${due && ` · ${due}`}`;
}

/** @param {{name: string, text: string}} part @param {boolean} isFolded */
function field({ name, text }, isFolded) {
  const shown = isFolded && text.length > FOLDED ? text.slice(0, FOLDED) : text;
  const body = text.trim() ? h("p.text", { dir: "auto" }, shown) : h("p.text.empty", {}, "This text is empty.");
  return h("div.field", {}, name ? h("h2", {}, name) : null, body);
}

/** Whether something of the item is folded away. @param {any} question */
export function isLong(question) {
  const texts = [...byId("item").querySelectorAll(".text")];
  return texts.some((text) => text.scrollHeight > text.clientHeight + 2)
    || question.fields.some((/** @type {any} */ part) => part.text.length > FOLDED);
}

/** @param {any} question */
export function showGuess(question) {
  const line = byId("guess");
  const has = Boolean(question?.guess);
  line.hidden = !has;
  const sure = question?.sure ? ` (${Math.round(100 * question.sure)} % sure)` : "";
  if (has) fill(line, "Our guess: ", h("strong", {}, question.guess), `${sure}. `, h("kbd", {}, "Enter"), " takes it.");
}

/** @param {{name: string, description: string}[]} options @param {string} keys @param {(name: string) => void} take */
export function showAnswers(options, keys, take) {
  fill(byId("answers"), ...options.map(({ name, description }, place) =>
    h("button.answer", { type: "button", onclick: () => take(name) },
      keys[place] ? h("kbd", {}, keys[place]) : null,
      h("span", {}, h("span.label", {}, name), description ? h("span.means", {}, ` ${description}`) : null))));
}

/** @param {[string, string, string, () => void][]} commands key, words, id */
export function showCommands(commands) {
  fill(byId("commands"), ...commands.map(([key, words, id, run]) =>
    h("button", { type: "button", id, onclick: run }, `${words} `, h("kbd", {}, key))));
}

/** @param {any} counts @param {number} closed since the counts were read */
export function showFigures(counts, closed) {
  const open = Math.max(0, counts.open - closed);
  const done = counts.answered + counts.skipped + closed;
  const share = done + open ? Math.round((100 * done) / (done + open)) : 0;
  const hair = byId("hair");
  hair.setAttribute("aria-valuenow", String(share));
  hair.firstElementChild.style.width = `${share}%`;
  const due = counts.due ? ` · the run goes on at ${clock(counts.due)}` : "";
  byId("agreement").textContent = counts.disputes ? plural(counts.disputes, "dispute") : "Agreement";
  byId("figures").textContent =
    `${(counts.today + closed).toLocaleString("en")} by you today · ${open.toLocaleString("en")} open${due}`;
}

/** @param {any[]} reasons @param {string} chosen */
export function showReasons(reasons, chosen) {
  const select = byId("reason");
  const options = reasons.map(({ reason, count }) => [reason, `${reason || "no reason given"} (${count.toLocaleString("en")})`]);
  if (chosen && !options.some(([reason]) => reason === chosen)) options.push([chosen, `${chosen} (0)`]);
  fill(select, h("option", { value: "" }, "of anything"),
    ...options.map(([value, words]) => h("option", { value, selected: value === chosen }, words)));
}

/** Why there is nothing to answer. @param {any} counts @param {string} me @param {string} run @param {string} reason */
export function showNothing(counts, me, run, reason) {
  const others = counts.holders.filter((/** @type {any} */ holder) => holder.who !== me);
  const lines = [];
  if (reason && counts.open) lines.push("Nothing is open for this reason; choose another one above.");
  for (const { who, count, until } of others) {
    lines.push(`${who} has ${plural(count, "question")} on hand until ${clock(until)} at the latest.`);
  }
  if (counts.not_yours) {
    lines.push(`${plural(counts.not_yours, "question")} ${counts.not_yours === 1 ? "asks" : "ask"} about what you answered before: for somebody else.`);
  }
  if (counts.is_driven) lines.push("The loop is at work: its next questions come here by themselves.");
  else if (!counts.open && !counts.answered && !counts.skipped) lines.push("Nothing was asked yet.");
  else if (!counts.open) lines.push(`All ${plural(counts.answered + counts.skipped, "question")} are closed, and the run is ${counts.status}.`);
  fill(byId("nothing"), h("h2", {}, "No question is open for you"),
    ...lines.map((line) => h("p", {}, line)),
    counts.disputes ? h("p", {}, `Two people differ on ${plural(counts.disputes, "question")}: `,
      h("a", { href: `/runs/${encodeURIComponent(run)}/inbox/disputes` }, "settle it"), ".") : null,
    h("p", {}, h("a", { href: `/runs/${encodeURIComponent(run)}` }, "See the run")));
}

/** @param {[string, string][]} keys */
export function showHelp(keys) {
  fill(byId("help"), h("dl", {}, ...keys.flatMap(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)])));
}

/** @param {string} moment */
export function clock(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** @param {string} when */
function moment(when) {
  return new Date(when).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });
}
