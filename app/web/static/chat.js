// @ts-check
/** The chat about a run. `/` opens it from anywhere; what would change something asks first. */

import { api, here, runPath } from "./api.js";
import { fill, h, table } from "./dom.js";
import { openExample, showExample } from "./provenance.js";

const mayDecide = here.role === "owner";
let last = 0;
let completing = /** @type {string[]} */ ([]);
let chosen = -1;

const said = h("div.said", { role: "log", "aria-label": "What was said", tabindex: 0 });
const input = h("input", { id: "chat-line", autocomplete: "off", maxlength: 4000, role: "combobox", "aria-expanded": "false",
  "aria-controls": "chat-completions", "aria-label": "Say something, or a command that begins with /", placeholder: "/status, /why this, /spend, /pause … or a question" });
const completions = h("ul.completions", { id: "chat-completions", role: "listbox", "aria-label": "Completions", hidden: true });
const form = h("form", { autocomplete: "off" }, completions, input);
const panel = h("section", { id: "chat", "aria-label": "Chat", hidden: true },
  h("header", {}, h("h2", {}, "Chat"), h("button.quiet", { type: "button", onclick: close }, "Close")), said, form);
const opener = h("button", { id: "open-chat", type: "button", onclick: () => open() }, "Chat ", h("kbd", {}, "/"));
document.body.append(panel, opener);

/** @param {string} [line] */
export function open(line = "") {
  panel.hidden = false;
  opener.hidden = true;
  input.focus();
  if (line) input.value = line;
  void refresh();
  offer();
}

function close() {
  panel.hidden = true;
  opener.hidden = false;
  opener.focus();
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  const isTyping = target.matches("input, textarea, select");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    open("/");
  } else if (event.key === "Escape" && panel.contains(target)) {
    event.stopPropagation();
    if (completions.hidden) close();
    else hideCompletions();
  }
}, true);

// ---------------------------------------------------------------- what was said

/** @type {Map<number, any>} */
const shown = new Map();

async function refresh() {
  try {
    for (const message of await api(`${runPath}/chat?after=${last}`)) show(message);
    for (const [id, message] of shown) {
      // What became of a command: looked up again until it is over.
      if (message.proposal && ["open", "queued"].includes(message.proposal.stage)) await renew(id);
    }
  } catch (error) {
    complain(/** @type {Error} */ (error));
  }
}

/** @param {number} id */
async function renew(id) {
  const [message] = await api(`${runPath}/chat?after=${id - 1}`);
  if (message?.id === id) show(message);
}

/** @param {Error} error */
function complain(error) {
  said.append(h("p.against.small", { role: "alert" }, error.message));
  said.scrollTop = said.scrollHeight;
}

/** @param {any} message */
function show(message) {
  const atEnd = said.scrollHeight - said.scrollTop - said.clientHeight < 60;
  const element = h("div.message", { "data-id": message.id },
    h("div.who", {}, `${message.who}, ${new Date(message.at).toLocaleTimeString()}`),
    message.text !== message.proposal?.words && h("div.text", {}, message.text),
    message.table && table("Answer", message.table.columns, message.table.rows),
    message.citations.length > 0 && h("div.row", {}, ...message.citations.map(chip)),
    message.proposal && cardOf(message));
  const old = shown.get(message.id) && said.querySelector(`[data-id="${message.id}"]`);
  if (old) {
    if (old.contains(document.activeElement)) return; // somebody is editing it
    old.replaceWith(element);
  } else if (waiting?.isConnected) {
    said.insertBefore(element, waiting);
    // What was asked, and then the answer itself, is in the list by now.
    const draft = waiting.querySelector(".draft");
    if (draft?.textContent && message.text.startsWith(draft.textContent)) draft.remove();
    if (message.role === "person" && message.text === asked) waiting.querySelector(".asked")?.remove();
  } else {
    said.append(element);
  }
  shown.set(message.id, message);
  last = Math.max(last, message.id);
  if (atEnd || !old) said.scrollTop = said.scrollHeight;
}

/** @param {{kind: string, id: string}} cite @returns {any} */
function chip(cite) {
  const run = encodeURIComponent(here.run ?? "");
  /** @type {Record<string, string>} */
  const places = { round: `/runs/${run}`, run: `/runs/${run}`, spend: `/runs/${run}`, decision: `/runs/${run}`,
    question: `/runs/${run}/inbox`, job: "/jobs", lesson: `/lessons?lesson=${encodeURIComponent(cite.id)}` };
  const words = `${cite.kind} ${cite.id === here.run ? "" : cite.id}`.trim();
  if (cite.kind === "example") {
    return h("button.chip", { type: "button", onclick: () => showExample(cite.id, () => {}).catch(complain) }, words);
  }
  return h("a.chip", { href: places[cite.kind] ?? `/runs/${run}` }, words);
}

/** @param {any} message @returns {any} */
function cardOf(message) {
  const proposal = message.proposal;
  const decide = async (/** @type {any} */ word) => {
    try {
      const kept = await api(`${runPath}/chat/${message.id}/decision`, { method: "POST", body: word });
      input.focus();
      show(kept);
      setTimeout(() => renew(message.id).catch(complain), 1500);
    } catch (error) {
      complain(/** @type {Error} */ (error));
    }
  };
  const card = h("div.proposal", {},
    h("div", {}, h("strong", {}, proposal.command), ` ${Object.values(proposal.arguments).map(String).join(" ")}`),
    h("p.small", {}, proposal.words));
  if (proposal.stage !== "open") {
    card.append(h("p.small.muted", { role: "status" }, proposal.life));
    return card;
  }
  if (!mayDecide) {
    card.append(h("p.small.muted", {}, "It waits for an owner's word."));
    return card;
  }
  const edit = h("textarea", { rows: 3, "aria-label": "Arguments" });
  edit.value = JSON.stringify(proposal.arguments, null, 1);
  edit.hidden = true;
  const hasArguments = Object.keys(proposal.arguments).length > 0;
  card.append(edit, h("div.row", {},
    h("button.main", { type: "button", onclick: () => {
      if (edit.hidden) return decide({ verdict: "approve" });
      try {
        return decide({ verdict: "edit", arguments: JSON.parse(edit.value) });
      } catch (error) {
        return complain(/** @type {Error} */ (error));
      }
    } }, "Approve"),
    hasArguments && h("button", { type: "button", onclick: () => { edit.hidden = false; edit.focus(); } }, "Edit"),
    h("button", { type: "button", onclick: () => decide({ verdict: "reject" }) }, "Reject")));
  return card;
}

// ---------------------------------------------------------------- what is typed

/** What waits for an answer, and what was asked. @type {any} */
let waiting = null;
let asked = "";

form.addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text) return;
  input.value = "";
  hideCompletions();
  const stop = new AbortController();
  const draft = h("div.text.draft", {});
  const mine = h("div.message", {},
    h("div.asked", {}, h("div.who", {}, here.person), h("div.text", {}, text)), draft,
    h("p.small.muted", { role: "status" }, "Thinking … ", h("button.quiet", { type: "button", onclick: () => stop.abort() }, "Stop")));
  waiting = mine;
  asked = text;
  const later = setTimeout(() => { said.append(mine); said.scrollTop = said.scrollHeight; }, 150);
  const leave = mayDecide && !text.startsWith("/") ? hear(draft) : () => {};
  try {
    const body = { text, example: openExample };
    for (const message of await api(`${runPath}/chat`, { method: "POST", body, signal: stop.signal })) show(message);
  } catch (error) {
    if (!stop.signal.aborted) {
      input.value = text;
      complain(/** @type {Error} */ (error));
    }
  } finally {
    leave();
    clearTimeout(later);
    mine.remove();
  }
});

/** Show an answer while it is written; what is kept takes its place. @param {any} draft @returns {() => void} */
function hear(draft) {
  const stream = new EventSource(`/api${runPath}/chat/stream`);
  let written = "";
  stream.addEventListener("draft", (event) => {
    const told = JSON.parse(/** @type {MessageEvent} */ (event).data);
    const atEnd = said.scrollHeight - said.scrollTop - said.clientHeight < 60;
    written = told.is_new ? told.text : written + told.text;
    draft.textContent = written;
    // A screen reader reads the answer once, when it is whole.
    said.setAttribute("aria-busy", "true");
    if (atEnd) said.scrollTop = said.scrollHeight;
  });
  return () => {
    stream.close();
    said.removeAttribute("aria-busy");
  };
}

function hideCompletions() {
  completions.hidden = true;
  input.setAttribute("aria-expanded", "false");
  chosen = -1;
}

let asking = 0;
async function offer() {
  const line = input.value;
  if (!line.startsWith("/")) return hideCompletions();
  const mine = ++asking;
  const found = await api(`${runPath}/chat/complete?line=${encodeURIComponent(line)}`).catch(() => []);
  if (mine !== asking || input.value !== line) return undefined;
  completing = found.filter((/** @type {string} */ one) => one !== line);
  if (!completing.length) return hideCompletions();
  chosen = -1;
  completions.hidden = false;
  input.setAttribute("aria-expanded", "true");
  return paint();
}

function paint() {
  fill(completions, ...completing.map((line, place) => h("li", { role: "option", id: `completion-${place}`, "aria-selected": place === chosen,
    onmousedown: (/** @type {Event} */ event) => { event.preventDefault(); take(place); } }, line)));
  if (chosen >= 0) input.setAttribute("aria-activedescendant", `completion-${chosen}`);
  else input.removeAttribute("aria-activedescendant");
  completions.children[chosen]?.scrollIntoView({ block: "nearest" });
}

/** @param {number} place */
function take(place) {
  input.value = `${completing[place]} `;
  void offer();
}

input.addEventListener("input", () => void offer());
input.addEventListener("blur", hideCompletions);
input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (completions.hidden) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + completing.length) % completing.length;
    paint();
  } else if (event.key === "Tab") {
    take(Math.max(0, chosen));
  } else if (event.key === "Enter" && chosen >= 0) {
    take(chosen);
  } else return;
  event.preventDefault();
});

setInterval(() => { if (!panel.hidden && !document.hidden) void refresh(); }, 2000);
