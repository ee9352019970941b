// @ts-check
/** The inbox: keys in, answers out; the next question is on the screen before the finger is up. */

import { showAlike } from "./alike.js";
import { api, here, runPath } from "./api.js";
import { byId, fill, h, plural } from "./dom.js";
import * as screen from "./inbox_screen.js";
import { Outbox } from "./outbox.js";
import { Queue } from "./queue.js";
import { MOST_SHOWN, isSpelled, matches, settled } from "./typeahead.js";
import { Hand, choice, keepSteps, takeSteps } from "./person.js";

const PAGE = 200;
/** The first question is not kept waiting for two hundred others. */
const FIRST = 30;
const PAUSE_EVERY = 50;
const queue = new Queue();
const hand = new Hand();
const outbox = new Outbox({
  name: `${here.run}:${here.person}`,
  post: (replies) => api(`${runPath}/inbox/answers`, { method: "POST", body: replies }),
  settled: told,
  trouble: showTrouble,
  alone: navigator.locks
    ? (work) => navigator.locks.request(`querist-send-${here.run}-${here.person}`, work)
    : undefined,
});
const desk = byId("desk");
const typed = byId("typed");
const state = {
  /** @type {any} */ counts: null, keys: "", closed: 0, sitting: 0, skipped: 0, spent: 0,
  /** @type {any[]} */ lists: [], /** @type {any} */ list: null, isTyped: false, isFolded: true,
  isFetching: false, isDry: false, isFlagged: false, isCommand: false, rationale: "", reason: "",
  /** @type {number|null} */ measured: null, /** @type {any} */ shown: null,
  /** @type {Set<string>} replies that take something back */ undos: new Set(),
};

// ------------------------------------------------------------ fetching

/** Fetch the next questions, unless that is under way. */
async function fetchMore() {
  if (state.isFetching) return;
  state.isFetching = true;
  try {
    const unsent = new Set(outbox.pending.map((reply) => reply.question));
    const have = [...new Set([...queue.onHand, ...unsent, ...hand.elsewhere()])].slice(0, 5000);
    const count = queue.known.size ? PAGE : FIRST;
    const body = { count, have, reason: state.reason || null, guesses: choice.guesses };
    const got = await api(`${runPath}/inbox/claim`, { method: "POST", body });
    const lists = got.option_lists.map(sameList);
    for (const question of got.questions) question.list = lists[question.options];
    const onHand = new Set(queue.onHand);
    // What was taken back is closed on the server until it hears of it.
    const lost = got.lost.filter((/** @type {string} */ id) => onHand.has(id) && !unsent.has(id));
    const isChanged = queue.drop(lost);
    if (isChanged) say("Somebody else has taken that question meanwhile.");
    queue.add(got.questions);
    state.isDry = got.questions.length < count;
    hand.note(queue.onHand);
    if (!state.shown || isChanged || state.shown !== queue.current) render();
  } catch (error) {
    if (!queue.current) showTrouble(error);
  } finally {
    state.isFetching = false;
  }
}

/** Use one object for equal lists, so that buttons are made anew only when they differ. @param {any[]} list */
function sameList(list) {
  const words = JSON.stringify(list);
  let found = state.lists.find((known) => known.words === words);
  if (!found) state.lists.push((found = { words, options: list, names: list.map((option) => option.name) }));
  return found;
}

async function fetchCounts() {
  const midnight = new Date(new Date().setHours(0, 0, 0, 0)).toISOString();
  const before = outbox.pending.length;
  state.counts = await api(`${runPath}/inbox?since=${encodeURIComponent(midnight)}`);
  state.keys = state.counts.keys;
  state.closed = before;
  screen.showFigures(state.counts, state.closed);
  screen.showReasons(state.counts.reasons, state.reason);
  const badge = byId("open-count");
  if (badge) badge.textContent = state.counts.open.toLocaleString("en");
  if (!queue.current) screen.showNothing(state.counts, String(here.person), String(here.run), state.reason);
}

// ------------------------------------------------------------ painting

/** Put the current question on the screen at once, and let keys count for it once it was painted. */
function render() {
  const question = queue.current;
  const hadFocus = desk.contains(document.activeElement) || document.activeElement === document.body;
  state.shown = question;
  delete desk.dataset.painted;
  state.isFlagged = false;
  state.isCommand = false;
  state.rationale = "";
  state.isFolded = true;
  desk.hidden = !question || !byId("alike").hidden;
  byId("nothing").hidden = Boolean(question);
  byId("thought").hidden = true;
  if (!question) {
    if (state.counts) screen.showNothing(state.counts, String(here.person), String(here.run), state.reason);
    return;
  }
  screen.showItem(question, true);
  screen.showGuess(question);
  if (question.list !== state.list) showList(question.list);
  if (state.isTyped) clearTyped();
  byId("flag").setAttribute("aria-pressed", "false");
  if (hadFocus) focus();
  requestAnimationFrame(() => setTimeout(() => seen(question)));
}

/** The question was on the screen for a frame. @param {any} question */
function seen(question) {
  if (queue.current !== question || document.hidden) return;
  queue.painted(question.id, performance.now());
  desk.dataset.painted = question.id;
  byId("unfold").hidden = !screen.isLong(question);
  byId("live").textContent = `${byId("said").textContent} Next: ${question.fields.map((/** @type {any} */ part) => part.text.slice(0, 300)).join(". ")}`;
}

/** @param {any} list */
function showList(list) {
  state.list = list;
  state.isTyped = list.options.length > state.keys.length;
  byId("finder").hidden = !state.isTyped;
  byId("answers").hidden = state.isTyped;
  if (!state.isTyped) screen.showAnswers(list.options, state.keys, take);
}

function focus() {
  if (state.isTyped) typed.focus({ preventScroll: true });
  else desk.focus({ preventScroll: true });
}

/** @param {string} words */
function say(words) {
  byId("said").textContent = words;
}

// ------------------------------------------------------------ doing

/** Give a label to the question on the screen. @param {string} label */
function take(label) {
  const isPlain = !state.rationale && !state.isFlagged;
  const answer = isPlain ? label : { label, rationale: state.rationale, flag: state.isFlagged };
  if (close("answer", answer)) say(`→ ${label}`);
}

function skip() {
  if (close("skip", { skip: true, rationale: state.rationale, flag: state.isFlagged })) say("→ skipped");
}

function unfit() {
  const answer = { does_not_fit: true, rationale: state.rationale, flag: state.isFlagged };
  if (close("unfit", answer)) say("→ put aside: the labels do not fit");
}

/** @param {string} deed @param {any} answer */
function close(deed, answer) {
  const closed = queue.close(deed === "answer" ? (answer.label ?? answer) : deed, performance.now());
  if (!closed) return false;
  outbox.push({
    question: closed.question.id,
    answer,
    shown_at_ms: Math.round(Date.now() - closed.took),
    took_ms: Math.min(closed.took, 86_400_000),
  });
  closed.question.deed = deed;
  render();
  count(deed, closed.took, 1);
  if (queue.isLow && !(state.isDry && queue.current)) fetchMore();
  return true;
}

function undo() {
  const last = queue.undo();
  if (!last) return say("There is nothing to take back in this sitting.");
  state.undos.add(outbox.push({ question: last.question.id, answer: { undo: true }, shown_at_ms: Date.now(), took_ms: 0 }));
  render();
  say(`Taken back: ${last.deed}`);
  count(last.question.deed, 0, -1);
}

/** @param {string} deed @param {number} took @param {number} step */
function count(deed, took, step) {
  state.closed += step;
  if (deed === "answer") {
    state.sitting += step;
    state.spent += Math.min(took, 120_000);
  } else state.skipped += step;
  if (state.counts) screen.showFigures(state.counts, state.closed);
  if (step > 0 && deed === "answer" && state.sitting % PAUSE_EVERY === 0) takeStock();
  else if (state.sitting % PAUSE_EVERY === 10) byId("pause").hidden = true;
}

/** Every fifty answers: what they came to. It is never in the way of the next key. */
async function takeStock() {
  const line = byId("pause");
  const each = (state.spent / state.sitting / 1000).toFixed(1);
  line.textContent = `${plural(state.sitting, "answer")} in this sitting, ${each} s each, ${state.skipped} put aside. Thank you.`;
  line.hidden = false;
  const before = state.measured;
  const now = await measure().catch(() => null);
  if (before !== null && now !== null && before !== now) {
    line.textContent += ` Measured since you began: ${Math.round(100 * before)} % to ${Math.round(100 * now)} %.`;
  }
}

async function measure() {
  const run = await api(runPath);
  state.measured ??= run.own?.value ?? null;
  return run.own?.value ?? null;
}

function flag() {
  state.isFlagged = !state.isFlagged;
  byId("flag").setAttribute("aria-pressed", String(state.isFlagged));
  say(state.isFlagged ? "Marked for a second look; it goes with your answer." : "The mark is taken off.");
}

function think() {
  byId("thought").hidden = false;
  byId("rationale").value = state.rationale;
  byId("rationale").focus();
}

function unfold() {
  if (!queue.current) return;
  state.isFolded = !state.isFolded;
  screen.showItem(queue.current, state.isFolded);
  fill(byId("unfold"), state.isFolded ? "Show all of it " : "Show less ", h("kbd", {}, "."));
}

function flipGuesses() {
  choice.guesses = !choice.guesses;
  byId("guesses").checked = choice.guesses;
  const back = queue.putBack();
  if (queue.current) {
    back.push(queue.current.id);
    queue.drop([queue.current.id]);
  }
  say(choice.guesses ? "Guesses are shown where they bend no measure." : "Guesses are hidden.");
  fetchMore();
}

async function alike() {
  const last = queue.done.findLast((done) => done.question.deed === "answer");
  if (!last) return say("Answer a question first; then look for others like it.");
  desk.hidden = true;
  await showAlike({ question: last.question, label: last.deed, keys: state.keys, isOn: () => choice.keys, give, leave })
    .catch((error) => { leave(); say(error.message); });
}

function leave() {
  desk.hidden = !queue.current;
  focus();
}

/** Answer many with one label. @param {any[]} questions @param {string} label */
function give(questions, label) {
  for (const question of questions) {
    outbox.push({ question: question.id, answer: label, shown_at_ms: Date.now(), took_ms: 0 });
    count("answer", 0, 1);
  }
  if (queue.closed(questions.map((question) => question.id))) render();
  say(`→ ${label}, ${plural(questions.length, "time")}`);
}

// ------------------------------------------------------------ what the server said

/** @param {import("./outbox.js").Receipt[]} receipts */
function told(receipts) {
  const refused = receipts.filter((receipt) => receipt.outcome !== "accepted");
  const stays = refused.filter((receipt) => state.undos.has(receipt.client_id));
  const lost = refused.filter((receipt) => !state.undos.has(receipt.client_id));
  if (stays.length) {
    state.closed += stays.length;
    if (queue.drop(stays.map((receipt) => receipt.question))) render();
    say(`It cannot be taken back. ${stays.at(-1)?.words}`);
  }
  if (!lost.length) return;
  state.closed -= lost.length;
  say(lost.length === 1 ? `One answer does not count: ${lost[0].words}` : `${lost.length} answers do not count. The last: ${lost.at(-1)?.words}`);
}

/** @param {any} error */
function showTrouble(error) {
  const line = byId("unsent");
  const isOut = error?.status === 401 || error?.status === 403;
  byId("line").hidden = !error || isOut;
  line.hidden = !error;
  if (!error) return;
  const waiting = outbox.pending.length;
  const kept = waiting ? ` ${plural(waiting, "answer")} ${waiting === 1 ? "is" : "are"} kept in this browser, and sent when that is over.` : "";
  line.textContent = isOut ? `You are not let in any more: ${error.message}${kept}` : `The server cannot be reached.${kept}`;
}

// ------------------------------------------------------------ keys

/** @type {[string, string, string, () => void][]} */
const COMMANDS = [
  ["s", "Skip", "skip", skip], ["u", "Undo", "undo", undo], ["x", "Labels do not fit", "unfit", unfit],
  ["f", "Flag", "flag", flag], ["r", "Why", "why-open", think], ["+", "More like this", "alike-open", alike],
];
const RUN = new Map([...COMMANDS.map(([key, , , run]) => /** @type {[string, () => void]} */ ([key, run])),
  ["m", flipGuesses], [".", unfold], ["?", flipHelp]]);

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.id === "rationale" || target.matches("select")) return;
  if (target === typed) return type(event);
  if (event.key === "Enter" && target.matches("button, a, summary, input")) return;
  if (event.key === " " && target.matches("button, a, input")) return;
  if (!choice.keys || !act(event.key)) return;
  event.preventDefault();
}

/** @param {string} key */
function act(key) {
  const place = state.isTyped ? -1 : state.keys.indexOf(key);
  const option = key.length === 1 && place >= 0 ? state.list?.options[place] : null;
  if (option) take(option.name);
  else if (key === "Enter" && queue.current?.guess) take(queue.current.guess);
  else if (RUN.has(key)) RUN.get(key)?.();
  else return false;
  return true;
}

/** Keys in the box where labels are typed: a digit or Enter chooses, a colon before a command. @param {KeyboardEvent} event */
function type(event) {
  const found = matches(state.list.names, typed.value, queue.current?.likely);
  const { key } = event;
  if (!queue.isPainted && key.length === 1) event.preventDefault();
  else if (state.isCommand || (!typed.value && key === "?")) {
    if (key === "Shift") return;
    state.isCommand = false;
    if (choice.keys) RUN.get(key)?.();
    event.preventDefault();
  } else if (!typed.value && key === ":") {
    state.isCommand = true;
    event.preventDefault();
  } else if (key === "Enter") {
    const label = typed.value.trim() ? settled(found, typed.value) : queue.current?.guess;
    if (label) take(label);
    event.preventDefault();
  } else if (/^[1-9]$/.test(key) && found.length && !isSpelled(state.list.names, typed.value, key)) {
    const label = found.slice(0, MOST_SHOWN)[Number(key) - 1];
    if (label) take(label);
    event.preventDefault();
  }
}

function showMatches() {
  const found = matches(state.list.names, typed.value, queue.current?.likely);
  typed.setAttribute("aria-expanded", String(found.length > 0));
  const shown = found.slice(0, MOST_SHOWN).map((name, place) =>
    h("button.answer", { type: "button", tabindex: "-1", onclick: () => take(name) }, h("kbd", {}, place + 1), h("span.label", {}, name)));
  const more = found.length - shown.length;
  const rest = more > 0 ? h("p.small.muted", {}, `and ${more} more`) : null;
  const none = typed.value.trim() && !found.length ? h("p.small.muted", {}, "No label has that in it.") : null;
  fill(byId("matches"), ...shown, rest, none);
}

function clearTyped() {
  typed.value = "";
  showMatches();
}

function flipHelp() {
  const help = byId("help");
  help.hidden = !help.hidden;
  byId("ask-help").setAttribute("aria-expanded", String(!help.hidden));
}

// ------------------------------------------------------------ beginning

function listen() {
  desk.addEventListener("keydown", press);
  // Where no question is left there is no desk to take the key, and still something to take back.
  document.body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.target === document.body && !queue.current && event.key === "u") press(event);
  });
  typed.addEventListener("input", showMatches);
  byId("unfold").addEventListener("click", unfold);
  byId("ask-help").addEventListener("click", flipHelp);
  byId("guesses").addEventListener("change", flipGuesses);
  byId("keys").addEventListener("change", () => { choice.keys = byId("keys").checked; });
  byId("reason").addEventListener("change", () => {
    state.reason = byId("reason").value;
    const back = queue.putBack();
    if (queue.current) back.push(queue.current.id);
    queue.drop(back);
    release(back).finally(fetchMore);
    render();
  });
  byId("rationale").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.isComposing || (event.key !== "Escape" && (event.key !== "Enter" || event.shiftKey))) return;
    if (event.key === "Enter") state.rationale = byId("rationale").value.trim();
    say(state.rationale ? "Your reason goes with your answer." : "");
    byId("thought").hidden = true;
    focus();
    event.preventDefault();
  });
  addEventListener("online", again);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) again(); });
  addEventListener("pagehide", () => {
    const unsent = new Set(outbox.pending.map((reply) => reply.question));
    hand.forget();
    keepSteps(queue.steps);
    release(queue.onHand.filter((id) => !unsent.has(id)), true);
  });
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  swipe();
}

/** Hand questions back for others. @param {string[]} questions @param {boolean} [isLast] */
async function release(questions, isLast = false) {
  if (!questions.length) return;
  const body = JSON.stringify({ questions: questions.slice(0, 2000) });
  const headers = { "content-type": "application/json" };
  await fetch(`/api${runPath}/inbox/release`, { method: "POST", body, headers, keepalive: isLast }).catch(() => {});
}

function again() {
  outbox.isStopped = false;
  outbox.flush();
  if (queue.current && !queue.isPainted) requestAnimationFrame(() => setTimeout(() => seen(queue.current)));
  tick();
}

/** On a phone: to the left skips, to the right takes back. */
function swipe() {
  let x = 0;
  let y = 0;
  const item = byId("item");
  item.addEventListener("touchstart", (/** @type {TouchEvent} */ event) => ({ clientX: x, clientY: y } = event.touches[0]), { passive: true });
  item.addEventListener("touchend", (/** @type {TouchEvent} */ event) => {
    const { clientX, clientY } = event.changedTouches[0];
    if (Math.abs(clientX - x) < 90 || Math.abs(clientY - y) > 60) return;
    if (clientX < x) skip();
    else undo();
  });
}

let ticks = 0;
async function tick() {
  if (document.hidden) return;
  ticks += 1;
  hand.note(queue.onHand);
  if (!queue.current) {
    await fetchCounts().catch(() => {});
    if (state.counts?.free) fetchMore();
    return;
  }
  if (ticks % 8 === 0) fetchCounts().catch(() => {});
  // A lease is for ten minutes: what is on hand is kept by asking for more.
  if (ticks % 90 === 0 || (queue.isLow && ticks % 5 === 0)) fetchMore();
}

async function begin() {
  byId("guesses").checked = choice.guesses;
  byId("keys").checked = choice.keys;
  screen.showCommands(COMMANDS);
  screen.showHelp([
    ["1", "the label beside the key; the next question comes at once"], ["Enter", "takes the guess, where guesses are shown"],
    ["s", "puts the question aside: nobody is asked again"], ["u", "takes your last answer back, as long as the loop has not used it"],
    ["x", "puts it aside because no label fits"], ["f", "marks it for a second look"], ["r", "keeps a reason with your answer"],
    ["+", "shows open questions like the one that you answered"], ["m", "shows or hides our guesses; they pull people along"],
    [".", "shows all of a long text"], ["?", "these keys; with many labels a colon stands before a command"],
  ]);
  listen();
  outbox.flush();
  await fetchCounts();
  await fetchMore();
  const steps = takeSteps();
  for (const { question } of steps) question.list = sameList(question.list.options);
  queue.restore(steps);
  if (queue.current) focus();
  else render();
  fetchMore();
  measure().catch(() => {});
  setInterval(tick, 2000);
}

begin().catch((error) => { byId("figures").textContent = error.message; });
