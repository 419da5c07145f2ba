// A program that uses the npm package `callworker-client`, for test_node_client.py.
//
//     node program.mjs ACT '{"url": …, "driver": …}'
//
// What it tells are lines of JSON. It ends by itself once all is closed.

import { readSync } from "node:fs";
import { inspect } from "node:util";
import { Client, verifyWebhook } from "callworker-client";

const given = JSON.parse(process.argv[3]);
const { url, driver, jobs } = given;
const tell = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const tellError = (error) => tell({ error: error.name, text: inspect(error) });
/** Wait, and do nothing meanwhile, until the test writes a line. */
const wait = () => readSync(0, Buffer.alloc(1));
const newClient = (at = url) => new Client(at, { driver, timeoutMs: given.timeoutMs, replicas: given.replicas });

const ACTS = {
  async open() {
    await newClient().close();
  },

  /** Send the jobs, one after the other, and wait before each but the first. */
  async send() {
    const client = newClient();
    for (const [place, job] of jobs.entries()) {
      if (place > 0) wait();
      await client.enqueue(job).then((id) => tell({ id }), tellError);
    }
    await client.close();
  },

  /** Send each job, and take it back. */
  async cancel() {
    const client = newClient();
    await client.enqueueMany(jobs);
    for (const { id, account } of jobs) await client.cancel(id, given.named ? { account } : {});
    await client.close();
  },

  /** Send the jobs in one call, and wait after its first part. Then wait, and send all of them again, to `then`. */
  async flood() {
    const client = newClient();
    const progress = (sent) => {
      tell({ sent });
      if (sent < 1000) wait();
    };
    await client.enqueueMany(jobs, { progress }).catch(tellError);
    wait();
    const other = newClient(given.then);
    await other.enqueueMany(jobs).then((ids) => tell({ again: ids.length }), tellError);
    await Promise.all([client.close(), other.close()]);
  },

  /** Listen on a queue of its own and on a named one, send the jobs, and tell what the events of both say. */
  async service() {
    const client = newClient();
    const queues = [client.events(), client.events({ types: ["call.placed", "call.failed"], queue: given.queue })];
    const all = Promise.all(queues.map((events) => collect(events, jobs.length)));
    const [first, ...rest] = jobs;
    const ids = [await client.enqueue(first), ...(await client.enqueueMany(rest))];
    const [own, named] = await all;
    tell({ ids, own, named });
    await client.close();
  },

  /** Bind a queue, named or of its own; wait; and tell the ids of the events in it, without repeats. The last is not settled. */
  async listen() {
    const client = newClient();
    const events = client.events({ queue: given.queue ?? undefined, types: "#" });
    await events.ready;
    tell({ ready: true });
    wait();
    tell((await collect(events, given.count)).map(({ id }) => id));
    await client.close();
  },

  async verify() {
    for (const { body, headers, secrets } of given.webhooks) {
      try {
        tell(verifyWebhook(Buffer.from(body, "base64"), headers, secrets));
      } catch (error) {
        tellError(error);
      }
    }
  },
};

async function collect(events, count) {
  const found = new Map();
  for await (const event of events) if (found.set(event.id, event).size === count) break;
  return [...found.values()];
}

await ACTS[process.argv[2]]().catch(tellError);
