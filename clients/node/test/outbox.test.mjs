// Batches, their errors, and the connection that is kept.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { BrokerRefused, BrokerUnavailable } from "callworker-client";

const { BATCH, Outbox } = createRequire(import.meta.url)("../dist/outbox.js");

/** A broker whose connections do what `acts` says, one after the other; after the last, each batch is taken. */
class Broker {
  batches = [];
  connected = 0;
  closed = 0;

  constructor(...acts) {
    this.acts = acts;
    this.outbox = new Outbox(async () => this.connect());
  }

  connect() {
    this.connected += 1;
    return {
      send: async (batch) => {
        this.batches.push(batch.length);
        return this.acts.shift()?.(batch) ?? batch.map(() => undefined);
      },
      close: async () => void (this.closed += 1),
      drop: () => void (this.closed += 1),
    };
  }

  send(count) {
    return Promise.allSettled(Array.from({ length: count }, (_, queue) => this.outbox.send({ queue })));
  }
}

const lost = () => {
  throw new BrokerUnavailable("lost");
};
const sent = (outcomes) => outcomes.map(({ status }) => status === "fulfilled");

test("what is sent at the same time goes out together, over one connection", async () => {
  const broker = new Broker();
  assert.ok(sent(await broker.send(BATCH + 1)).every(Boolean));
  assert.ok(sent(await broker.send(2)).every(Boolean));
  assert.deepEqual([broker.batches, broker.connected], [[BATCH, 1, 2], 1]);
});

test("a refused message fails by itself", async () => {
  const refused = new BrokerRefused("no");
  const broker = new Broker((batch) => batch.map((_, place) => (place === 1 ? refused : undefined)));
  const outcomes = await broker.send(3);
  assert.deepEqual(sent(outcomes), [true, false, true]);
  assert.equal(outcomes[1].reason, refused);
  assert.equal(broker.connected, 1);
});

test("a batch is sent a second time if the connection that was used before is lost", async () => {
  const broker = new Broker(undefined, lost);
  await broker.send(1);
  assert.deepEqual(sent(await broker.send(2)), [true, true]);
  assert.deepEqual([broker.batches, broker.connected, broker.closed], [[1, 2, 2], 2, 1]);
});

test("a new connection that is lost fails all that wait, and the next job connects again", async () => {
  const broker = new Broker(lost);
  assert.ok(!sent(await broker.send(BATCH + 1)).some(Boolean));
  assert.deepEqual([broker.batches, broker.closed], [[BATCH], 1]);
  assert.deepEqual(sent(await broker.send(1)), [true]);
});

test("to close waits for what is on its way", async () => {
  const broker = new Broker();
  const sending = broker.send(1);
  await broker.outbox.close();
  assert.deepEqual([broker.batches, broker.closed], [[1], 1]);
  assert.deepEqual(sent(await sending), [true]);
});
