/** Sends jobs into kombu's lists in Redis, in which workers look for them. */

import { BrokerRefused, BrokerUnavailable } from "./errors";
import { envelope, type Message } from "./message";
import type { Sender } from "./outbox";
import type { Command, RedisLink } from "./redis";
import { pause } from "./waiting";

/** Redis writes to its file after 2 s at the latest, however long a sync takes. */
const MAX_PUT_OFF_MS = 2500;
const LOOK_MS = 5;

export const MOST_REPLICAS = 5;
/** The longest wait for replicas. One that keeps up has a batch after a round trip. */
const MAX_WAIT_MS = 1000;

const PERSISTENCE: Command = ["INFO", "persistence"];

export class RedisSender implements Sender {
  readonly #link: RedisLink;
  readonly #replicas: number;
  readonly #wait: Command[];

  /** `replicas` must have a batch before it is confirmed. They are waited for less long than an answer may take. */
  constructor(link: RedisLink, replicas: number, timeoutMs: number) {
    this.#link = link;
    this.#replicas = replicas;
    const waitMs = Math.min(MAX_WAIT_MS, Math.max(1, Math.floor(timeoutMs / 2)));
    this.#wait = replicas > 0 ? [["WAIT", String(replicas), String(waitMs)]] : [];
  }

  /** The batch is one round trip, and confirmed once Redis has answered, and its file and the replicas have it. */
  async send(batch: readonly Message[]): Promise<(BrokerUnavailable | undefined)[]> {
    const lists = new Map<string, string[]>();
    for (const message of batch) {
      const list = lists.get(message.queue);
      if (list === undefined) lists.set(message.queue, [envelope(message)]);
      else list.push(envelope(message));
    }
    const commands = [...lists].map(([queue, messages]): Command => ["LPUSH", queue, ...messages]);
    const replies = await this.#link.each([...commands, ...this.#wait, PERSISTENCE]);
    await this.#untilWritten(replies.pop());
    if (this.#replicas > 0) this.#check(replies.pop());
    const outcomes = new Map([...lists.keys()].map((queue, place) => [queue, refusal(queue, replies[place])]));
    return batch.map(({ queue }) => outcomes.get(queue));
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  drop(): void {
    this.#link.close();
  }

  /** Throws unless enough replicas have the batch, from the answer to WAIT. */
  #check(reply: unknown): void {
    if (reply instanceof BrokerUnavailable) throw reply;
    if (!(Number(reply) >= this.#replicas)) {
      throw new BrokerUnavailable(`Redis did not take a command: ${Number(reply)} of ${this.#replicas} replicas have what was written`);
    }
  }

  /**
   * With `appendfsync everysec` Redis puts off its writes, but not its answers, while the sync of the last second is
   * under way. A user that may not run INFO does not wait. Source: `flushAppendOnlyFile` in aof.c of Redis.
   */
  async #untilWritten(facts: unknown): Promise<void> {
    const ends = Date.now() + MAX_PUT_OFF_MS;
    let told = facts;
    while (/aof_pending_bio_fsync:[1-9]/.test(String(told)) && Date.now() < ends) {
      await pause(LOOK_MS);
      [told] = await this.#link.each([PERSISTENCE]);
    }
  }
}

function refusal(queue: string, reply: unknown): BrokerRefused | undefined {
  return reply instanceof BrokerRefused ? new BrokerRefused(`${reply.message} (key ${queue})`) : undefined;
}
