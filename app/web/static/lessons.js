// @ts-check
/** What runs learnt for later ones: listed, read in the drawer, and judged by owners. */

import { api, here } from "./api.js";
import { byId, dollars, facts, fill, h, openDrawer, table } from "./dom.js";

const STATES = { proposed: "proposed", active: "in use", retired: "retired" };
const WORDS = { approve: "Approve", reject: "Reject", retire: "Retire" };
const state = byId("state");
const address = new URLSearchParams(location.search);

/** @param {any} error */
function complain(error) {
  fill(byId("said"), h("span.against", {}, error.message));
}

/** @param {any} lesson */
function gain(lesson) {
  if (!lesson.gain) return "not measured";
  const [points, low, high] = [lesson.gain.points, lesson.gain.low, lesson.gain.high]
    .map((share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(1)}`);
  return `${points} points (${low} to ${high}) on ${lesson.gain.texts} texts`;
}

async function refresh() {
  const lessons = await api(`/lessons${state.value && `?state=${state.value}`}`);
  lessons.reverse();
  fill(byId("lessons"), lessons.length
    ? table("Lessons", ["Lesson", "State", "Task", "What it says", "Gain"], lessons.map((/** @type {any} */ one) => [
      h("button.quiet", { type: "button", onclick: () => show(one) }, one.kind, " ", one.id),
      STATES[/** @type {keyof STATES} */ (one.state)], one.task, h("span.text", { dir: "auto" }, one.text), gain(one)]))
    : h("p.muted", {}, state.value ? "No lesson is like that." : "There are no lessons yet: runs with answers of people leave some."));
  return lessons;
}

/** @param {string} [lesson] */
function remember(lesson) {
  const wanted = new URLSearchParams();
  if (state.value) wanted.set("state", state.value);
  if (lesson) wanted.set("lesson", lesson);
  history.replaceState(null, "", `?${wanted}`);
}

/** @param {any} lesson */
function show(lesson) {
  remember(lesson.id);
  const run = `/runs/${encodeURIComponent(lesson.run)}`;
  openDrawer(lesson.id,
    h("p.text.card", { dir: "auto" }, lesson.text),
    here.role === "owner" && choices(lesson),
    h("h3", {}, "What is known of it"),
    facts([
      ["state", `${STATES[/** @type {keyof STATES} */ (lesson.state)]}, version ${lesson.version}`],
      ["changed by", `${lesson.by}${lesson.why && `: ${lesson.why}`}`], ["kind", lesson.kind],
      ["task", lesson.task], ["labels", lesson.labels.join(", ")],
      ["written by", `${lesson.author}, for ${dollars(lesson.usd)}`], ["gain", gain(lesson)],
    ]),
    h("p.small", {}, "Learnt in round ", lesson.round, " of ", h("a", { href: run }, lesson.run)),
    lesson.made_of.length > 0 && h("h3", {}, "Made of these texts"),
    ...lesson.made_of.map((/** @type {any} */ made) => h("div.card", {},
      ...Object.values(made.fields).map((text) => h("p.small.text", { dir: "auto" }, text)),
      h("p.small", {}, h("a", { href: `${run}/data?example=${encodeURIComponent(made.example)}` }, made.example),
        made.said === made.answer ? `: ${made.answer}, said rightly` : `: ${made.answer}, not ${made.said}`))));
}

/** @param {any} lesson @returns {any} */
function choices(lesson) {
  const offered = { proposed: ["approve", "reject"], active: ["retire"], retired: ["approve"] };
  const judge = async (/** @type {string} */ verdict) => {
    try {
      const body = { verdict, version: lesson.version };
      const made = await api(`/lessons/${encodeURIComponent(lesson.id)}/decision`, { method: "POST", body });
      byId("said").textContent = made.state === "active"
        ? `${made.id} is in use: runs on like tasks with the same labels are told it from their next round on.`
        : `${made.id} is retired. What was labelled with it stays as it is.`;
      show(made);
      await refresh();
    } catch (error) {
      complain(error);
    }
  };
  return h("div.row", {}, ...offered[/** @type {keyof typeof offered} */ (lesson.state)].map((verdict) =>
    h(verdict === "approve" ? "button.main" : "button.danger", { type: "button", onclick: () => judge(verdict) },
      WORDS[/** @type {keyof WORDS} */ (verdict)])));
}

state.addEventListener("change", () => {
  remember();
  refresh().catch(complain);
});
state.value = address.get("state") ?? "";
refresh().then((lessons) => {
  const wanted = lessons.find((/** @type {any} */ one) => one.id === address.get("lesson"));
  if (wanted) show(wanted);
}).catch(complain);
