// Streams of events: when an event is settled, what a lost connection does, and how a stream ends.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { BrokerRefused, BrokerUnavailable, EventStream } from "callworker-client";

const require = createRequire(import.meta.url);
const { parseEvent } = require("../dist/events.js");
const { checkedQueue, checkedTypes } = require("../dist/results.js");

const event = (id) => ({ id, type: "call.placed", timestamp: "2026-11-22T17:18:46.331Z", data: { id } });

/** A source of the events with these ids, or of errors; after the last one, it waits until the end. */
class Queue {
  settled = [];
  opened = 0;
  /** The attempt to open it that fails. */
  away = 0;
  closed = 0;

  constructor(...rows) {
    this.rows = rows;
  }

  stream(durable) {
    return new EventStream(async () => this.open(), durable, () => {});
  }

  open() {
    this.opened += 1;
    if (this.opened === this.away) throw new BrokerUnavailable("away");
    return { take: (signal) => this.take(signal), close: async () => void (this.closed += 1), drop: () => void (this.closed += 1) };
  }

  async take(signal) {
    if (this.rows.length === 0) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    const row = this.rows.shift();
    if (row instanceof Error) throw row;
    const body = typeof row === "string" ? JSON.stringify(event(row)) : String(row);
    return row === undefined ? undefined : { body, settle: async () => void this.settled.push(row) };
  }
}

test("an event is settled when the next one is asked for", async () => {
  const queue = new Queue("a", "b", "c");
  const settled = [];
  for await (const { id } of queue.stream(true)) {
    settled.push([id, ...queue.settled]);
    if (id === "c") break;
  }
  assert.deepEqual(settled, [["a"], ["b", "a"], ["c", "a", "b"]]);
  assert.deepEqual([queue.settled, queue.closed], [["a", "b"], 1]);
});

test("what is no event is settled and not handed over", async () => {
  const queue = new Queue(4711, "a");
  const stream = queue.stream(true);
  assert.equal((await stream.next()).value.id, "a");
  assert.deepEqual(queue.settled, [4711]);
  await stream.close();
});

for (const durable of [true, false]) {
  test(`a ${durable ? "named" : "own"} queue is read on after an outage, of which is warned once`, async () => {
    const queue = new Queue("a", new BrokerUnavailable("lost"), "b");
    queue.away = 2;
    const warnings = [];
    const note = ({ name, message }) => name === "CallworkerWarning" && /^events/.test(message) && warnings.push(message);
    process.on("warning", note);
    const stream = queue.stream(durable);
    try {
      assert.equal((await stream.next()).value.id, "a");
      assert.equal((await stream.next()).value.id, "b");
      assert.deepEqual([queue.opened, queue.closed], [3, 1]);
      await new Promise(setImmediate);
      assert.equal(warnings.length, 2);
      assert.equal(/missed/.test(warnings[1]), !durable);
    } finally {
      process.off("warning", note);
      await stream.close();
    }
  });
}

test("a refusal is told", async () => {
  const problem = new BrokerRefused("no");
  const queue = new Queue("a", problem);
  const stream = queue.stream(true);
  await stream.next();
  await assert.rejects(stream.next(), problem);
  assert.deepEqual([queue.opened, queue.closed], [1, 1]);
  assert.equal((await stream.next()).done, true);
});

test("a queue that cannot be opened is told at the first event", async () => {
  const problem = new BrokerUnavailable("away");
  const stream = new EventStream(() => Promise.reject(problem), true, () => {});
  await assert.rejects(stream.ready, problem);
  await assert.rejects(stream.next(), problem);
});

test("to close ends what waits", async () => {
  const queue = new Queue();
  const stream = queue.stream(true);
  const waiting = stream.next();
  await stream.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  assert.equal((await stream.next()).done, true);
  assert.ok(queue.closed > 0);
});

test("fields and types that are not known are kept", () => {
  const given = { ...event("a"), type: "call.answered", more: [1] };
  assert.deepEqual(parseEvent(JSON.stringify(given)), given);
});

for (const body of ["", "null", "[]", "{}", '{"id": "a", "type": "call.placed", "timestamp": "t", "data": null}']) {
  test(`${JSON.stringify(body)} is no event`, () => assert.throws(() => parseEvent(body), { name: "InvalidEvent" }));
}

test("types are the calls' by default, and each once", () => {
  assert.deepEqual(checkedTypes(), ["call.*"]);
  assert.deepEqual(checkedTypes("job.conflict"), ["job.conflict"]);
  assert.deepEqual(checkedTypes(["call.*", "call.*", "#"]), ["call.*", "#"]);
  for (const wrong of ["", "call.**", "call .placed", [], [1]]) {
    assert.throws(() => checkedTypes(wrong), { name: "ConfigurationError" });
  }
});

test("a queue has a name of its own", () => {
  assert.equal(checkedQueue("results.orders"), "results.orders");
  for (const wrong of ["", "a b", "calls", "calls.3", "results.listen.1", "x".repeat(201)]) {
    assert.throws(() => checkedQueue(wrong), { name: "ConfigurationError" });
  }
});
