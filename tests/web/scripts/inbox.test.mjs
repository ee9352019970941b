// The inbox without a page: what is on the screen, what is on its way, what a typed word finds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../../app/web/static/outbox.js";
import { Queue } from "../../../app/web/static/queue.js";
import { isSpelled, matches, settled } from "../../../app/web/static/typeahead.js";

const questions = (...ids) => ids.map((id) => ({ id }));

class Storage {
  items = new Map();
  get length() { return this.items.size; }
  key(place) { return [...this.items.keys()][place] ?? null; }
  getItem(key) { return this.items.get(key) ?? null; }
  setItem(key, value) { this.items.set(key, value); }
  removeItem(key) { this.items.delete(key); }
}

/** A server that keeps what it is sent once. */
class Server {
  kept = new Map();
  calls = 0;
  fails = [];
  post = async (replies) => {
    this.calls += 1;
    const fail = this.fails.shift();
    if (fail === "before") throw new TypeError("no connection");
    if (typeof fail === "number") throw Object.assign(new Error("refused"), { status: fail });
    for (const reply of replies) if (!this.kept.has(reply.client_id)) this.kept.set(reply.client_id, reply);
    if (fail === "after") throw new TypeError("the answer was lost");
    return replies.map((reply) => ({ client_id: reply.client_id, question: reply.question, outcome: "accepted", words: "" }));
  };
}

function outbox(server, options = {}) {
  return new Outbox({ name: "run:ann", post: server.post, storage: new Storage(), wait: async () => {}, ...options });
}

const reply = (question) => ({ question, answer: "bug", shown_at_ms: 1, took_ms: 2 });

test("a question that was not painted cannot be closed", () => {
  const queue = new Queue();
  queue.add(questions("a", "b"));
  assert.equal(queue.close("bug", 10), null);
  queue.painted("b", 5);
  assert.equal(queue.close("bug", 10), null, "another one was painted");
  queue.painted("a", 5);
  assert.deepEqual(queue.close("bug", 12), { question: { id: "a" }, took: 7 });
  assert.equal(queue.close("bug", 13), null, "the next one was not seen yet");
  assert.equal(queue.current.id, "b");
});

test("the last steps outlive a reload, as many as there is room for", () => {
  const queue = new Queue();
  const names = [...Array(30).keys()].map(String);
  queue.add(questions(...names));
  for (const name of names) {
    queue.painted(name, 0);
    queue.close("bug", 1);
  }
  assert.deepEqual(queue.steps.map((step) => step.question.id), names.slice(10));
  const next = new Queue();
  next.add(questions("29", "new"));
  next.restore(JSON.parse(JSON.stringify(queue.steps)));
  assert.equal(next.undo().question.id, "28", "29 is to be answered again");
  assert.equal(next.add(questions("27")), 0, "it may be served while it is taken back");
  queue.done.at(-2).question.text = "x".repeat(300_000);
  assert.deepEqual(queue.steps.map((step) => step.question.id), ["29"]);
});

test("what was served twice or closed before does not come again", () => {
  const queue = new Queue();
  queue.add(questions("a", "b"));
  queue.painted("a", 0);
  queue.close("bug", 1);
  assert.equal(queue.add(questions("a", "b", "c")), 1);
  assert.deepEqual(queue.onHand, ["b", "c"]);
});

test("undoing goes back several steps, and what was on the screen comes next", () => {
  const queue = new Queue();
  queue.add(questions("a", "b", "c"));
  for (const id of ["a", "b"]) { queue.painted(id, 0); queue.close("bug", 1); }
  assert.equal(queue.undo().question.id, "b");
  assert.equal(queue.undo().question.id, "a");
  assert.equal(queue.undo(), null);
  assert.equal(queue.isPainted, false);
  assert.deepEqual(queue.onHand, ["a", "b", "c"]);
});

test("what somebody else took leaves the screen and may come again", () => {
  const queue = new Queue();
  queue.add(questions("a", "b", "c"));
  assert.equal(queue.drop(["c"]), false);
  assert.equal(queue.drop(["a"]), true);
  assert.deepEqual(queue.onHand, ["b"]);
  assert.equal(queue.add(questions("a")), 1);
});

test("replies that come while one is under way go together, in order", async () => {
  const server = new Server();
  const box = outbox(server);
  for (let n = 0; n < 450; n += 1) box.push(reply(`q${n}`));
  await box.flush();
  assert.equal(server.calls, 3);
  assert.deepEqual([...server.kept.values()].map((kept) => kept.question), Array.from({ length: 450 }, (_, n) => `q${n}`));
  assert.deepEqual(box.pending, []);
});

test("nothing is lost or kept twice when the connection breaks before or after", async () => {
  const server = new Server();
  server.fails = ["before", "after", 503, "after"];
  const box = outbox(server);
  box.push(reply("a"));
  box.push(reply("b"));
  await box.flush();
  assert.deepEqual([...server.kept.values()].map((kept) => kept.question), ["a", "b"]);
});

test("a new page sends what the old one left", async () => {
  const storage = new Storage();
  const away = new Server();
  away.fails = Array(50).fill("before");
  const old = outbox(away, { storage, wait: () => new Promise(() => {}) });
  old.push(reply("a"));
  await new Promise((done) => setTimeout(done, 5));
  assert.equal(old.pending.length, 1);
  const server = new Server();
  await outbox(server, { storage }).flush();
  assert.equal(server.kept.size, 1);
});

test("two tabs with one storage do not send the same twice", async () => {
  const storage = new Storage();
  const server = new Server();
  let last = Promise.resolve();
  const alone = (work) => (last = last.then(work, work));
  const [one, two] = [outbox(server, { storage, alone }), outbox(server, { storage, alone })];
  for (let n = 0; n < 20; n += 1) (n % 2 ? one : two).push(reply(`q${n}`));
  await Promise.all([one.flush(), two.flush()]);
  assert.equal(server.kept.size, 20);
  assert.equal(new Set([...server.kept.values()].map((kept) => kept.question)).size, 20);
});

test("of a batch that is refused only the one to blame is given up", async () => {
  const told = [];
  const server = new Server();
  const post = async (replies) => {
    if (replies.some((sent) => sent.question === "bad")) throw Object.assign(new Error("unreadable"), { status: 422 });
    return server.post(replies);
  };
  const box = outbox(server, { post, settled: (receipts) => told.push(...receipts) });
  for (const name of ["a", "bad", "b", "c"]) box.push(reply(name));
  await box.flush();
  assert.deepEqual([...server.kept.values()].map((kept) => kept.question), ["a", "b", "c"]);
  assert.deepEqual(told.filter((receipt) => receipt.outcome === "invalid").map((receipt) => receipt.question), ["bad"]);
});

test("who is logged out keeps their answers until they are let in again", async () => {
  const server = new Server();
  server.fails = [401];
  const troubles = [];
  const box = outbox(server, { trouble: (error) => troubles.push(error?.status) });
  box.push(reply("a"));
  await box.flush();
  assert.deepEqual(troubles, [401]);
  assert.equal(box.pending.length, 1);
  box.push(reply("b"));
  await box.flush();
  assert.equal(server.kept.size, 2);
});

test("where nothing can be stored the answers are sent all the same", async () => {
  const server = new Server();
  const storage = new Storage();
  storage.setItem = () => { throw new Error("full"); };
  const box = outbox(server, { storage });
  box.push(reply("a"));
  await box.flush();
  assert.equal(server.kept.size, 1);
});

const MANY = [...Array.from({ length: 77 }, (_, n) => `topic ${String(n).padStart(2, "0")}`), "refund request", "request for a refund"];

test("labels are found as in the terminal", () => {
  assert.deepEqual(matches(MANY, ""), []);
  assert.deepEqual(matches(MANY, "t", ["topic 70", "topic 12"]).slice(0, 3), ["topic 70", "topic 12", "topic 00"]);
  assert.deepEqual(matches(MANY, "refund"), ["refund request", "request for a refund"]);
  assert.equal(settled(matches(MANY, "41"), "41"), "topic 41");
  assert.equal(settled(matches(MANY, "REFUND REQUEST"), "REFUND REQUEST"), "refund request");
  assert.equal(settled(matches(MANY, "topic"), "topic"), null);
  assert.equal(isSpelled(MANY, "topic ", "4"), true);
  assert.equal(isSpelled(MANY, "refund", "1"), false);
});
