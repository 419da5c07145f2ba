/** Sends jobs into kombu's lists in Redis, in which workers look for them. */

import type { BrokerUnavailable } from "./errors";
import { BrokerRefused } from "./errors";
import { envelope, type Message } from "./message";
import type { Sender } from "./outbox";
import type { Command, RedisLink } from "./redis";
import { pause } from "./waiting";

/** Redis writes to its file after 2 s at the latest, however long a sync takes. */
const MAX_PUT_OFF_MS = 2500;
const LOOK_MS = 5;

const PERSISTENCE: Command = ["INFO", "persistence"];

export class RedisSender implements Sender {
  readonly #link: RedisLink;

  constructor(link: RedisLink) {
    this.#link = link;
  }

  /** The batch is one round trip, and confirmed once Redis has answered and has it in its file. */
  async send(batch: readonly Message[]): Promise<(BrokerUnavailable | undefined)[]> {
    const lists = new Map<string, string[]>();
    for (const message of batch) {
      const list = lists.get(message.queue);
      if (list === undefined) lists.set(message.queue, [envelope(message)]);
      else list.push(envelope(message));
    }
    const commands = [...lists].map(([queue, messages]): Command => ["LPUSH", queue, ...messages]);
    const replies = await this.#link.each([...commands, PERSISTENCE]);
    await this.#untilWritten(replies.pop());
    const outcomes = new Map([...lists.keys()].map((queue, place) => [queue, refusal(queue, replies[place])]));
    return batch.map(({ queue }) => outcomes.get(queue));
  }

  async close(): Promise<void> {
    this.#link.close();
  }

  drop(): void {
    this.#link.close();
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
