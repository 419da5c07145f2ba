/** Reads events from a queue on RabbitMQ. */

import type { AmqpLink, Channel, Delivered } from "./amqp";
import { BrokerRefused, BrokerUnavailable } from "./errors";
import type { Source, Taken } from "./events";
import { listener, RESULTS } from "./results";

/** How many events a reader holds. Of a queue that it shares, the next one comes once the one before it is done. */
const OWN_AT_ONCE = 200;
const SHARED_AT_ONCE = 1;

export class AmqpEvents implements Source {
  readonly #link: AmqpLink;
  readonly #channel: Channel;
  readonly #come: Delivered[] = [];
  #wake: () => void = () => {};

  private constructor(link: AmqpLink, channel: Channel) {
    this.#link = link;
    this.#channel = channel;
    link.whenLost(() => this.#wake());
  }

  /** Bind the queue `name`, or one of its own, and begin to read it. */
  static async on(
    link: AmqpLink, types: readonly string[], name: string | undefined, queueType: string | undefined,
  ): Promise<AmqpEvents> {
    try {
      const queue = name ?? listener();
      await link.declareTopic(RESULTS);
      // A quorum queue cannot be exclusive.
      const own = { durable: false, exclusive: true, autoDelete: true, arguments: { "x-queue-type": "classic" } };
      const kept = { durable: true, ...(queueType !== undefined && { arguments: { "x-queue-type": queueType } }) };
      await link.declareQueue(queue, name === undefined ? own : kept);
      for (const type of types) await bind(link, queue, type, name !== undefined);
      const events = new AmqpEvents(link, await link.channel({ confirms: false }));
      await events.#begin(queue, name === undefined ? OWN_AT_ONCE : SHARED_AT_ONCE);
      return events;
    } catch (error) {
      link.drop();
      throw error;
    }
  }

  async take(signal: AbortSignal): Promise<Taken | undefined> {
    while (this.#come.length === 0) {
      if (this.#link.problem !== undefined) throw this.#link.problem;
      if (signal.aborted) return undefined;
      await this.#news(signal);
    }
    const message = this.#come.shift() as Delivered;
    return { body: message.content.toString(), settle: () => this.#settle(message) };
  }

  /** The channel is closed first: RabbitMQ would close the connection before it has read what was settled just now. */
  async close(): Promise<void> {
    if (this.#link.problem === undefined) {
      await this.#link.answer("closing", this.#channel.close()).catch(() => {});
    }
    await this.#link.close();
  }

  drop(): void {
    this.#link.drop();
  }

  async #begin(queue: string, atOnce: number): Promise<void> {
    await this.#link.answer("RabbitMQ does not answer", this.#channel.prefetch(atOnce));
    const take = (message: Delivered | null): void => {
      if (message === null) this.#link.lose(new BrokerUnavailable(`queue ${queue} was deleted: events may have been missed`));
      else this.#come.push(message);
      this.#wake();
    };
    await this.#link.answer(`queue ${queue} cannot be read`, this.#channel.consume(queue, take));
  }

  async #settle(message: Delivered): Promise<void> {
    const acknowledge = async (): Promise<void> => this.#channel.ack(message);
    await this.#link.answer("an event cannot be acknowledged", acknowledge());
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        signal.removeEventListener("abort", end);
        resolve();
      };
      this.#wake = end;
      signal.addEventListener("abort", end);
    });
  }
}

/** An operator may have bound a durable queue for a user that lacks the right. */
async function bind(link: AmqpLink, queue: string, type: string, durable: boolean): Promise<void> {
  try {
    await link.tried(`queue ${queue} cannot be bound`, (channel) => channel.bindQueue(queue, RESULTS, type));
  } catch (error) {
    if (!durable || !(error instanceof BrokerRefused)) throw error;
  }
}
