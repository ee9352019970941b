// @ts-check
/** Answers on their way: in the browser's storage before anything else, removed when the server has
 * said what became of them. Each has a name of its own, so that one that is sent twice counts once:
 * after a lost reply, by a second tab, after a crash. */

/** @typedef {{client_id: string, question: string, answer: any, shown_at_ms: number, took_ms: number}} Reply */
/** @typedef {{client_id: string, question: string, outcome: string, words: string}} Receipt */

const MOST = 200;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 8000;

export class Outbox {
  /**
   * @param {{
   *   name: string,
   *   post: (replies: Reply[]) => Promise<Receipt[]>,
   *   settled?: (receipts: Receipt[]) => void,
   *   trouble?: (error: any|null) => void,
   *   storage?: Pick<Storage, "getItem"|"setItem"|"removeItem"|"key"|"length">,
   *   alone?: (work: () => Promise<any>) => Promise<any>,
   *   now?: () => number,
   *   wait?: (ms: number) => Promise<any>,
   * }} options `name` of run and person; `alone` lets one tab send at a time
   */
  constructor({ name, post, settled = () => {}, trouble = () => {}, storage, alone, now = Date.now, wait }) {
    this.prefix = `querist:out:${name}:`;
    this.post = post;
    this.settled = settled;
    this.trouble = trouble;
    this.storage = storage ?? localStorage;
    this.alone = alone ?? ((work) => work());
    this.now = now;
    this.wait = wait ?? ((ms) => new Promise((done) => { this.wake = done; setTimeout(done, ms); }));
    /** @type {(value?: any) => void} */
    this.wake = () => {};
    this.number = 0;
    this.most = MOST;
    this.isStopped = false;
    /** What the storage does not take is kept here, and ends with the page. @type {Map<string, string>} */
    this.beside = new Map();
    /** @type {Promise<void>|null} */
    this.sending = null;
  }

  /** Keep a reply, and send it. @param {Omit<Reply, "client_id">} reply */
  push(reply) {
    const order = String(this.now()).padStart(15, "0") + String(this.number++ % 1e6).padStart(6, "0");
    const client = `${order}-${Math.random().toString(36).slice(2, 12)}`;
    const body = JSON.stringify({ client_id: client, ...reply });
    try {
      this.storage.setItem(this.prefix + client, body);
    } catch {
      this.beside.set(this.prefix + client, body);
    }
    this.isStopped = false;
    this.flush();
    return client;
  }

  /** What is on its way, in order. @returns {Reply[]} */
  get pending() {
    const keys = [...this.beside.keys()];
    for (let place = 0; place < this.storage.length; place += 1) {
      const key = this.storage.key(place);
      if (key?.startsWith(this.prefix)) keys.push(key);
    }
    return keys.sort().flatMap((key) => {
      const body = this.beside.get(key) ?? this.storage.getItem(key);
      return body ? [JSON.parse(body)] : [];
    });
  }

  /** Send until nothing is left; ends early only where no answer will be taken, as after logging out. */
  flush() {
    this.wake();
    this.sending ??= this.#send().finally(() => { this.sending = null; });
    return this.sending;
  }

  async #send() {
    await null; // what is pushed in the same turn goes together
    let pause = FIRST_PAUSE;
    while (!this.isStopped) {
      try {
        const isDone = await this.alone(() => this.#once());
        this.trouble(null);
        pause = FIRST_PAUSE;
        if (isDone) return;
      } catch (error) {
        if (this.#isRefused(error)) continue;
        this.trouble(error);
        if (this.isStopped) return;
        await this.wait(pause);
        pause = Math.min(LONGEST_PAUSE, 2 * pause);
      }
    }
  }

  async #once() {
    // Read here, because another tab may have sent them while this one waited.
    const replies = this.pending.slice(0, this.most);
    if (!replies.length) return true;
    const receipts = await this.post(replies);
    for (const receipt of receipts) this.#remove(receipt.client_id);
    this.most = MOST;
    this.settled(receipts);
    return false;
  }

  /** Where a whole batch is refused, find the one that is to blame; true to go on at once. @param {any} error */
  #isRefused(error) {
    const status = error?.status ?? 0;
    if ([401, 403, 404].includes(status)) {
      this.isStopped = true;
      return false;
    }
    if (![400, 413, 422].includes(status)) return false;
    const batch = this.pending.slice(0, this.most);
    if (batch.length > 1) {
      this.most = Math.ceil(batch.length / 2);
      return true;
    }
    for (const reply of batch) {
      this.#remove(reply.client_id);
      this.settled([{ ...reply, outcome: "invalid", words: error.message }]);
    }
    this.most = MOST;
    return true;
  }

  /** @param {string} client */
  #remove(client) {
    this.beside.delete(this.prefix + client);
    this.storage.removeItem(this.prefix + client);
  }
}
