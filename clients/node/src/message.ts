/**
 * The messages that workers read: Celery messages of protocol 2, for the tasks `calls.verify` and `calls.cancel`.
 *
 * Each job goes to the queue of its account's shard, `calls.0` to `calls.15`. Workers take from these queues in turn, so
 * that many jobs of one account do not delay all others. Source: docs/reference/contract.md, "Names"; Celery
 * documentation, "Message Protocol", version 2.
 */

import { randomUUID } from "node:crypto";
import type { Fields } from "./job";

/** A message on its way to a queue. `taskId` is also the correlation id. */
export interface Message {
  queue: string;
  taskId: string;
  headers: Record<string, unknown>;
  /** JSON. */
  body: string;
}

const VERIFY = "calls.verify";
const CANCEL = "calls.cancel";
/** The queue of all accounts, and the beginning of the names of the shards' queues. */
const CALLS = "calls";
const SHARDS = 16;
const HEADERS = {
  lang: "js",
  parent_id: null,
  group: null,
  // What logs and monitors show in place of the arguments, which hold a phone number and a PIN.
  argsrepr: "(hidden)",
  kwargsrepr: "(hidden)",
  ignore_result: true,
  origin: "callworker-client",
};

/** The trace context, as it must be spelled to be sent on. Source: W3C Trace Context. */
const TRACE: Readonly<Record<string, RegExp>> = {
  traceparent: /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.{1,64})?$/,
  tracestate: /^[ -~]{1,512}$/,
};

/** Return the message of a job. A trace context goes into the headers, where workers of every version take or ignore it. */
export function verifyMessage(fields: Fields): Message {
  const all = Object.entries(fields);
  const kwargs = Object.fromEntries(all.filter(([name]) => !(name in TRACE)));
  const trace = Object.fromEntries(all.filter(([name, value]) => TRACE[name]?.test(value)));
  return task(VERIFY, fields.id, queueOf(fields.account), kwargs, trace);
}

/**
 * Return the message that takes a job back. With the account it goes to the queue of the job itself, behind it, and
 * counts for a job of that account only.
 */
export function cancelMessage(job: { id: string; account?: string }): Message {
  return task(CANCEL, `cancel_${randomUUID()}`, job.account === undefined ? CALLS : queueOf(job.account), job);
}

/** Write a message in the form in which kombu puts it into a list in Redis. Source: kombu/transport/virtual/base.py */
export function envelope({ queue, taskId, headers, body }: Message): string {
  return JSON.stringify({
    body: Buffer.from(body).toString("base64"),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    headers,
    properties: {
      correlation_id: taskId,
      delivery_mode: 2,
      delivery_info: { exchange: "", routing_key: queue },
      priority: 0,
      body_encoding: "base64",
      delivery_tag: randomUUID(),
    },
  });
}

/** Return the queue of the account's shard. */
export function queueOf(account: string): string {
  return `${CALLS}.${crc32(Buffer.from(account)) % SHARDS}`;
}

function task(name: string, taskId: string, queue: string, kwargs: object, headers: object = {}): Message {
  return {
    queue,
    taskId,
    headers: { ...HEADERS, task: name, id: taskId, root_id: taskId, ...headers },
    body: JSON.stringify([[], kwargs, {}]),
  };
}

/** The checksum of zip and PNG. `zlib.crc32` has it only from Node.js 20.15 on. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return (crc ^ 0xffffffff) >>> 0;
}
