// @ts-check
/** What this browser remembers of a person: their choices, and what each of their tabs has on hand. */

import { here } from "./api.js";

const STALE = 150_000;

/** @param {string} name @param {boolean} usual */
function read(name, usual) {
  try {
    const kept = localStorage.getItem(`querist:${name}:${here.person}`);
    return kept === null ? usual : kept === "yes";
  } catch {
    return usual;
  }
}

/** @param {string} name @param {boolean} value */
function keep(name, value) {
  try {
    localStorage.setItem(`querist:${name}:${here.person}`, value ? "yes" : "no");
  } catch { /* it holds for this page only */ }
}

/** Guesses are hidden at first: they would pull people along. Single keys can be turned off. */
export const choice = {
  _guesses: read("guesses", false),
  _keys: read("keys", true),
  get guesses() { return this._guesses; },
  set guesses(value) { this._guesses = value; keep("guesses", value); },
  get keys() { return this._keys; },
  set keys(value) { this._keys = value; keep("keys", value); },
};

/** What a tab has on hand, told to the person's other tabs, so that they do not show the same. */
export class Hand {
  constructor() {
    this.prefix = `querist:hand:${here.run}:${here.person}:`;
    this.own = this.prefix + Math.random().toString(36).slice(2);
  }

  /** @param {string[]} ids */
  note(ids) {
    try {
      localStorage.setItem(this.own, JSON.stringify({ at: Date.now(), ids }));
    } catch { /* other tabs may show the same; each is answered once all the same */ }
  }

  forget() {
    localStorage.removeItem(this.own);
  }

  /** @returns {string[]} */
  elsewhere() {
    const ids = [];
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(this.prefix) || key === this.own) continue;
      try {
        const { at, ids: theirs } = JSON.parse(localStorage.getItem(key) ?? "{}");
        if (Date.now() - at > STALE) localStorage.removeItem(key);
        else ids.push(...theirs);
      } catch {
        localStorage.removeItem(key);
      }
    }
    return ids;
  }
}

const STEPS = `querist:steps:${here.run}:${here.person}`;

/** The last steps over a reload. They hold texts, so they end with the tab. @param {any[]} steps */
export function keepSteps(steps) {
  try {
    sessionStorage.setItem(STEPS, JSON.stringify(steps));
  } catch { /* after a reload there is nothing to take back */ }
}

/** Each is taken up once. @returns {any[]} */
export function takeSteps() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STEPS) ?? "[]");
    sessionStorage.removeItem(STEPS);
    return kept;
  } catch {
    return [];
  }
}
