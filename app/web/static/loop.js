// @ts-check
/** The loop's page: what happens now and why, the curve, the money, people, rounds, controls. */

import { api, firstRun, here, runPath } from "./api.js";
import { agentName, decision } from "./decisions.js";
import { byId, dollars, fill, h, openDrawer, percent, plural, table } from "./dom.js";
import { AGENT_OF, drawGraph, showStep } from "./graph.js";
import { follow } from "./stream.js";

const AGENTS = ["budget_controller", "selector", "generator", "annotator", "verifier"];
const SOURCES = { human: "people", llm: "the language model", model: "the trained model", generated: "written for the task", gold: "the file" };
const COLOURS = { human: 0, llm: 1, generated: 2, model: 3, gold: 4 };
const mayChange = here.role === "owner";
const graph = drawGraph((step) => showAgent(AGENT_OF[step], step).catch(complain));
byId("graph").append(graph);

/** @param {Error} error */
function complain(error) {
  fill(byId("said"), h("span.against", {}, error.message));
}

// ---------------------------------------------------------------- what is shown

let view = /** @type {any} */ (null);

async function refresh() {
  const pictures = { curve: drawCurve(), classes: draw("classes.svg") };
  const [run, rounds, decisions, commands] = await Promise.all([
    view ? api(runPath) : firstRun(), api(`${runPath}/rounds`), api(`${runPath}/decisions`), api(`${runPath}/commands`),
  ]);
  view = run;
  fill(byId("now"), h("span.status", { "data-status": run.status }, ""), " ", run.now);
  showStep(graph, run.node);
  showTiles(run, rounds.length);
  showControls(run);
  showMoney(run);
  showPeople(run);
  showRounds(rounds, decisions);
  showCommands(commands);
  fill(byId("measured"), run.own ? `${run.own_name}: ${run.own_words}. ${run.corrected_words ? `Corrected: ${run.corrected_words}. ` : ""}${run.verdict}` : "Nothing is measured yet: that needs answers of people, a validation file or labels of a model.");
  await Promise.all([showCurve(rounds, pictures.curve), showClasses(run, pictures.classes)]);
  for (const section of document.querySelectorAll(".stale")) section.classList.remove("stale");
}

/** @param {any} run @param {number} done how many rounds */
function showTiles(run, done) {
  const figure = run.test ?? run.own;
  const tile = (/** @type {any} */ value, /** @type {string} */ what) => h("div.tile", {}, h("div.figure", {}, value), h("div.what", {}, what));
  const labels = h("a", { href: `/runs/${encodeURIComponent(run.id)}/data` }, run.labels.toLocaleString("en"));
  const open = here.role === "viewer" ? run.open_questions
    : h("a", { href: `/runs/${encodeURIComponent(run.id)}/inbox` }, run.open_questions.toLocaleString("en"));
  fill(byId("tiles"),
    tile(figure ? percent(figure.value, figure.n) : "–",
      figure ? `${run.metric_name} ${run.test ? "on the test texts" : "as the run measures it"}, ${percent(figure.low, figure.n)} to ${percent(figure.high, figure.n)}, n = ${figure.n}` : "not measured yet"),
    tile(labels, `labels, ${(run.sources.human ?? 0).toLocaleString("en")} by people`),
    tile(dollars(run.spent), `spent of ${dollars(run.cap)}`),
    tile(open, "open questions"),
    tile(`${done} of ${Math.max(run.rounds, done)}`, `rounds done; ${run.status}`));
}

function drawCurve() {
  return draw(`curve.svg?by=${byId("against").value}&beside=${encodeURIComponent(byId("beside").value)}`);
}

/** @param {any[]} rounds @param {Promise<Node|null>} drawn */
async function showCurve(rounds, drawn) {
  const box = byId("curve");
  const measured = rounds.filter((round) => round.own || round.test);
  if (!measured.length) {
    fill(box, h("p.muted", {}, "The curve begins with the first round that can be measured."));
    return;
  }
  const beside = byId("beside").value;
  const picture = await drawn;
  const hasTest = measured.some((round) => round.test);
  fill(box, picture, h("ul.legend", {},
    h("li", {}, `line: ${view.own_name.toLowerCase()} as the run measures it, shaded: 90 % interval`),
    hasTest && h("li", {}, "dashed: on the test texts"),
    beside && h("li", {}, `dotted: ${beside}, on its test texts if it has any`)),
    folded("The curve as a table", ["Round", "Labels", "By people", "Spent", view.own_name, "90 % interval", hasTest && "Test"],
      measured.map((round) => [round.number, round.labelled, round.by_people, dollars(round.usd),
        percent(round.own?.value), round.own ? `${percent(round.own.low)} to ${percent(round.own.high)}` : "–",
        hasTest && percent(round.test?.value, round.test?.n)])));
}

/** @param {any} run @param {Promise<Node|null>} drawn */
async function showClasses(run, drawn) {
  const box = byId("classes");
  if (!run.labels) {
    fill(box, h("p.muted", {}, "No label stands yet."));
    return;
  }
  const sources = /** @type {(keyof typeof COLOURS)[]} */ (Object.keys(run.sources));
  const picture = run.classes.length ? await drawn : null;
  fill(box, picture, h("ul.legend", {}, ...sources.map((source) =>
    h("li", {}, h(`span.swatch.s${COLOURS[source] ?? 5}`), `${SOURCES[source] ?? source}: ${run.sources[source].toLocaleString("en")}`))),
    run.classes.length && folded("Classes as a table", ["Class", ...sources.map((source) => SOURCES[source] ?? source), "What belongs to it"],
      run.classes.map((/** @type {any} */ one) => [
        h("a", { href: `/runs/${encodeURIComponent(run.id)}/data?label=${encodeURIComponent(one.name)}` }, one.name),
        ...sources.map((source) => one.by_source[source] ?? 0), one.description])));
}

/** @param {any} run */
function showMoney(run) {
  const share = (/** @type {any} */ amount) => `${Math.min(100, (100 * Number(amount)) / Math.max(1e-9, Number(run.cap)))}%`;
  const bar = h("div.bar", { role: "img", "aria-label": `${dollars(run.spent)} of ${dollars(run.cap)} are spent` }, h("span"), h("span.held"));
  bar.children[0].style.width = share(run.spent);
  bar.children[1].style.width = share(run.reserved);
  const doubt = Number(run.in_doubt) > 0;
  fill(byId("money"), bar,
    h("p.small", {}, `${dollars(run.spent)} of ${dollars(run.cap)} are spent`,
      Number(run.reserved) > 0 && `, ${dollars(run.reserved)} set aside for what is under way`,
      run.forecast !== null && run.status !== "finished" && `; at the pace of the last rounds the planned ones will have cost ${dollars(run.forecast)}`, "."),
    doubt && h("p.small.against", {}, `${dollars(run.in_doubt)} are in doubt: a process died while calls were under way. Settle them with: querist reconcile ${run.id}`),
    run.spend.length ? table("Spend by agent", ["Agent", "What for", "Spent"],
      run.spend.map((/** @type {any} */ line) => [agentName(line.agent), line.kind, h("td.number", {}, dollars(line.usd))]))
      : h("p.muted", {}, "Nothing is spent yet."));
}

/** @param {any} run */
function showPeople(run) {
  const counts = run.questions;
  const asked = Object.values(counts).reduce((/** @type {number} */ sum, /** @type {any} */ n) => sum + n, 0);
  fill(byId("people"), asked
    ? h("p", {}, `${plural(asked, "question")} asked: ${counts.answered ?? 0} answered, ${counts.skipped ?? 0} skipped, ${counts.open ?? 0} open.`)
    : h("p.muted", {}, "Nobody was asked anything yet."),
    here.role !== "viewer" && counts.open > 0 && h("a.button", { href: `/runs/${encodeURIComponent(run.id)}/inbox` }, `Answer ${plural(counts.open, "question")}`));
}

/** @param {any[]} rounds @param {any[]} decisions */
function showRounds(rounds, decisions) {
  const numbers = [...new Set([...decisions.map((one) => one.round), ...rounds.map((one) => one.number)])].sort((a, b) => b - a);
  if (!numbers.length) {
    fill(byId("rounds"), h("p.muted", {}, "No agent has decided anything yet."));
    return;
  }
  const cell = (/** @type {number} */ number, /** @type {string} */ agent) => {
    const made = decisions.filter((one) => one.round === number && one.agent === agent);
    if (!made.length) return h("td.muted", {}, "–");
    const last = made[made.length - 1];
    const paid = Number(last.usd) > 0 ? `, ${dollars(last.usd)}` : "";
    return h("td", {}, h("button.quiet.small", { type: "button", onclick: () => showDecisions(`Round ${number}, ${agentName(agent)}`, made) },
      short(last.reason)), h("div.small.muted", {}, `${last.by}${paid}`));
  };
  fill(byId("rounds"), table("Rounds", ["Round", ...AGENTS.map((agent) => agentName(agent))],
    numbers.map((number) => [h("th", { scope: "row" }, number), ...AGENTS.map((agent) => cell(number, agent))])));
}

/** @param {string} words */
function short(words) {
  return words.length > 90 ? `${words.slice(0, 88)}…` : words || "decided";
}

/** @param {string} agent @param {string} step */
async function showAgent(agent, step) {
  if (!agent) {
    openDrawer(step, h("p", {}, "No agent decides here: this step computes."));
    return;
  }
  const made = await api(`${runPath}/decisions?agent=${agent}`);
  const name = agentName(agent);
  if (made.length) showDecisions(`${step}: what the ${name} decided last`, made.slice(-1));
  else openDrawer(step, h("p.muted", {}, `The ${name} has not decided anything yet.`));
}

/** @param {string} title @param {any[]} made */
function showDecisions(title, made) {
  openDrawer(title, ...made.map((one) => decision(one)));
}

/** @param {any[]} commands */
function showCommands(commands) {
  fill(byId("commands"), commands.length
    ? table("What people asked for", ["What", "Who", "State", "What came of it"], commands.slice().reverse().slice(0, 50).map((one) => [
      `${one.name} ${Object.values(one.arguments).join(" ")}`.trim(), one.who, one.status, one.result || "taken at the loop's next step"]))
    : h("p.muted", {}, "Nothing yet. Controls are at the top; `querist pause`, `stop` and `resume --set` do the same."));
}

/** @param {string} caption @param {(string|false)[]} head @param {any[][]} rows @returns {any} */
function folded(caption, head, rows) {
  return h("details.small", {}, h("summary", {}, caption), table(caption, head, rows));
}

/** @param {string} name */
async function draw(name) {
  const answer = await fetch(`/api${runPath}/charts/${name}`).catch(() => null);
  if (!answer?.ok) return null;
  const drawn = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  return document.importNode(drawn, true);
}

// ---------------------------------------------------------------- controls

/** @param {any} run */
function showControls(run) {
  const box = byId("controls");
  if (!mayChange || box.contains(document.activeElement) && box.childElementCount) return;
  const button = (/** @type {string} */ words, /** @type {() => Promise<string>} */ act, kind = "") =>
    h(`button${kind}`, { type: "button", onclick: () => act().then((said) => { fill(byId("said"), said); soon(); }, complain) }, words);
  const post = (/** @type {string} */ name, /** @type {any} */ values = {}) =>
    api(`${runPath}/commands`, { method: "POST", body: { name, arguments: values }, key: crypto.randomUUID() });
  const running = run.is_driven;
  const ended = run.status === "finished";
  const change = (/** @type {string} */ id, /** @type {string} */ label, /** @type {any} */ value, /** @type {(value: string) => Promise<any>} */ act) =>
    h("form", { onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      act(byId(id).value).then(() => {
        fill(byId("said"), running ? `${label}: handed to the loop, which takes it at its next step.`
          : `${label}: noted; the loop takes it when it goes on.`);
        soon();
      }, complain);
    } }, h("fieldset", {}, h("label", { for: id }, label, h("br"), h("input", { id, value, inputmode: "decimal", autocomplete: "off" })), h("button", { type: "submit" }, "Set")));
  fill(box,
    running && button("Pause", () => post("pause").then(() => "The loop pauses at its next step; nothing is lost.")),
    !running && button(ended ? "Go on with the run" : "Go on", () => api(`${runPath}/resume`, { method: "POST" }).then(() => "The run is starting in a process of its own; that takes a few seconds."), ".main"),
    run.status === "waiting" && button("Go on without the answers", () => post("proceed").then(() => "The loop goes on without the answers that are missing.")),
    !ended && button("Stop", () => confirm(`End run ${run.id}? It finishes its step, measures and delivers; "Go on" can open it again.`)
      ? post("stop").then(() => "The run ends at its next step.") : Promise.resolve(""), ".danger"),
    change("budget", "Budget (USD)", Number(run.cap), (value) => post("budget", { usd: value })),
    change("rounds-planned", "Rounds", run.rounds, (value) => post("set", { key: "loop.rounds", value: Number(value) })),
    change("strategy", "Strategy", run.strategy, (value) => post("strategy", { name: value })));
}

// ---------------------------------------------------------------- live

let timer = 0;
function soon(wait = 150) {
  clearTimeout(timer);
  timer = setTimeout(() => refresh().catch(complain), wait);
}

/** Other runs with a curve, to compare with. */
async function offerRuns() {
  for (const run of await api("/runs")) {
    if (run.kind === "loop" && run.id !== here.run && run.metric !== null) {
      byId("beside").append(h("option", { value: run.id }, run.id));
    }
  }
  for (const id of ["beside", "against"]) byId(id).addEventListener("change", () => refresh().catch(complain));
}

async function begin() {
  await Promise.all([refresh(), offerRuns()]);
  follow(view.last_event, (event) => {
    // Many events of one kind come while a batch is labelled; one look serves them all.
    soon(event.kind === "annotated" || event.kind === "embedding" ? 600 : 150);
  });
  // Its rounds may have been read before it: nothing changes where nobody drives it.
  if (view.is_driven) soon();
  // A run's process may die without a word, and questions are answered elsewhere.
  setInterval(() => { if (!document.hidden) soon(); }, 10000);
}

begin().catch(complain);
