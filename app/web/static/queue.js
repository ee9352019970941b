// @ts-check
/** Which question is on the screen, which come next, and what was done: no page, no network.
 *
 * A question can be closed only once it was painted: a key that was meant for the one before never
 * counts for one that nobody has seen.
 */

/** @typedef {{id: string, guess?: string|null, [more: string]: any}} Question */
/** @typedef {{question: Question, deed: string}} Done */

const STEPS_BACK = 100;
/** Steps that are kept over a reload, and their characters in all: texts may be long. */
const KEPT = 20;
const ROOM = 200_000;

export class Queue {
  constructor(low = 60) {
    this.low = low;
    /** @type {Question[]} */
    this.waiting = [];
    /** @type {Question|null} */
    this.current = null;
    /** @type {Done[]} */
    this.done = [];
    this.isPainted = false;
    this.shownAt = 0;
    /** Those on hand and those that were closed here: they may be served again meanwhile. @type {Set<string>} */
    this.known = new Set();
  }

  get isLow() {
    return this.waiting.length < this.low;
  }

  /** Ids of what is on the screen and of what comes next. */
  get onHand() {
    const ids = this.waiting.map((question) => question.id);
    return this.current ? [this.current.id, ...ids] : ids;
  }

  /** Take questions in, those that are new. @param {Question[]} questions */
  add(questions) {
    const news = questions.filter((question) => !this.known.has(question.id));
    for (const question of news) this.known.add(question.id);
    this.waiting.push(...news);
    if (!this.current) this.#next();
    return news.length;
  }

  /** The question was on the screen for a frame. @param {string} id @param {number} now */
  painted(id, now) {
    if (this.current?.id !== id || this.isPainted) return;
    this.isPainted = true;
    this.shownAt = now;
  }

  /** Close the question on the screen, if it was painted. @param {string} deed @param {number} now */
  close(deed, now) {
    if (!this.current || !this.isPainted) return null;
    const question = this.current;
    const took = Math.max(0, Math.round(now - this.shownAt));
    this.done.push({ question, deed });
    if (this.done.length > STEPS_BACK) this.done.shift();
    this.#next();
    return { question, took };
  }

  /** Bring the question that was closed last back to the screen. */
  undo() {
    const last = this.done.pop();
    if (!last) return null;
    if (this.current) this.waiting.unshift(this.current);
    this.#show(last.question);
    return last;
  }

  /** The last steps, to be kept over a reload: as many as fit, oldest first. @returns {Done[]} */
  get steps() {
    let room = ROOM;
    const last = this.done.slice(-KEPT).reverse();
    const end = last.findIndex((step) => (room -= JSON.stringify(step).length) < 0);
    return (end < 0 ? last : last.slice(0, end)).reverse();
  }

  /** Take up the steps of before a reload; what is to be answered again is none. @param {Done[]} steps */
  restore(steps) {
    const onHand = new Set(this.onHand);
    const kept = steps.filter(({ question }) => !onHand.has(question.id));
    for (const { question } of kept) this.known.add(question.id);
    this.done.unshift(...kept);
  }

  /** Forget questions that are somebody else's now; tell whether the screen changes. @param {Iterable<string>} ids */
  drop(ids) {
    const gone = new Set(ids);
    for (const id of gone) this.known.delete(id);
    this.waiting = this.waiting.filter((question) => !gone.has(question.id));
    if (!this.current || !gone.has(this.current.id)) return false;
    this.#next();
    return true;
  }

  /** Note that others were closed elsewhere on the page. @param {Iterable<string>} ids */
  closed(ids) {
    const changed = this.drop(ids);
    for (const id of ids) this.known.add(id);
    return changed;
  }

  /** Put what comes next back, as when it is to be served in another way; what is shown stays. */
  putBack() {
    const ids = this.waiting.map((question) => question.id);
    for (const id of ids) this.known.delete(id);
    this.waiting = [];
    return ids;
  }

  #next() {
    this.#show(this.waiting.shift() ?? null);
  }

  /** @param {Question|null} question */
  #show(question) {
    this.current = question;
    this.isPainted = false;
    this.shownAt = 0;
  }
}
