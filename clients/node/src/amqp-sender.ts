/** Sends jobs to RabbitMQ: each message is persistent, mandatory and confirmed. */

import type { AmqpLink, Channel, Delivered } from "./amqp";
import { BrokerRefused, BrokerUnavailable } from "./errors";
import type { Message } from "./message";
import type { Sender } from "./outbox";

const NOT_TAKEN = "did not take a message: it is full, or has no leader at the moment";

export class AmqpSender implements Sender {
  readonly #link: AmqpLink;
  readonly #channel: Channel;
  readonly #declaration: object;
  /** The queues for which RabbitMQ has returned a message of the batch. */
  readonly #returned = new Set<string>();

  private constructor(link: AmqpLink, channel: Channel, queueType: string | undefined) {
    this.#link = link;
    this.#channel = channel;
    this.#declaration = { durable: true, ...(queueType !== undefined && { arguments: { "x-queue-type": queueType } }) };
    channel.on("return", ({ fields }: Delivered) => this.#returned.add(fields.routingKey));
  }

  /** `queueType` is the workers' AMQP_QUEUE_TYPE; undefined leaves the type of the queues to RabbitMQ. */
  static async on(link: AmqpLink, queueType: string | undefined): Promise<AmqpSender> {
    try {
      return new AmqpSender(link, await link.channel({ confirms: true }), queueType);
    } catch (error) {
      link.drop();
      throw error;
    }
  }

  async send(batch: readonly Message[]): Promise<(BrokerUnavailable | undefined)[]> {
    const refused = await this.#declareAll(new Set(batch.map(({ queue }) => queue)));
    const open = batch.filter(({ queue }) => !refused.has(queue));
    this.#returned.clear();
    const nacked = await this.#confirmed(open);
    // A queue that was deleted is declared before the next batch.
    for (const queue of this.#returned) this.#link.forgetQueue(queue);
    return batch.map((message) => {
      // RabbitMQ returns a message before it confirms it.
      const returned = this.#returned.has(message.queue);
      const problem = returned ? new BrokerRefused(`RabbitMQ has no queue ${message.queue}`) : nacked.get(message);
      return refused.get(message.queue) ?? problem;
    });
  }

  async close(): Promise<void> {
    await this.#link.close();
  }

  drop(): void {
    this.#link.drop();
  }

  async #declareAll(queues: Iterable<string>): Promise<Map<string, BrokerRefused>> {
    const refused = new Map<string, BrokerRefused>();
    const declare = async (queue: string): Promise<void> => {
      try {
        await this.#link.declareQueue(queue, this.#declaration);
      } catch (error) {
        if (!(error instanceof BrokerRefused)) throw error;
        refused.set(queue, error);
      }
    };
    await Promise.all(Array.from(queues, declare));
    return refused;
  }

  /** Publish the messages, and return once each is confirmed or refused: those that are refused, with the reason. */
  #confirmed(messages: readonly Message[]): Promise<Map<Message, BrokerUnavailable>> {
    const nacked = new Map<Message, BrokerUnavailable>();
    const unconfirmed = new Set(messages);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => end(this.#late()), this.#link.timeoutMs);
      const forget = this.#link.whenLost((problem) => end(problem));
      function end(problem?: BrokerUnavailable): void {
        clearTimeout(late);
        forget();
        if (problem === undefined) resolve(nacked);
        else reject(problem);
      }
      const confirmed = (message: Message, error: Error | null): void => {
        // The loss of the channel is an error of each message too, which `whenLost` tells.
        if (error !== null && !/nack/.test(error.message)) return;
        // RabbitMQ does not say why. Both reasons may be over soon.
        if (error !== null) nacked.set(message, new BrokerUnavailable(`queue ${message.queue} ${NOT_TAKEN}`));
        late.refresh();
        if (unconfirmed.delete(message) && unconfirmed.size === 0) end();
      };
      try {
        for (const message of messages) this.#publish(message, (error) => confirmed(message, error));
      } catch (error) {
        end(new BrokerUnavailable(`RabbitMQ did not take a message: ${(error as Error).message}`));
      }
      if (messages.length === 0) end();
    });
  }

  #late(): BrokerUnavailable {
    const { blocked, timeoutMs } = this.#link;
    const reason = blocked === undefined ? "" : `; it takes no messages at the moment (${blocked})`;
    return new BrokerUnavailable(`RabbitMQ did not confirm a message within ${timeoutMs} ms${reason}`);
  }

  #publish({ queue, taskId, headers, body }: Message, confirmed: (error: Error | null) => void): void {
    this.#channel.publish(
      "",
      queue,
      Buffer.from(body),
      {
        mandatory: true,
        persistent: true,
        contentType: "application/json",
        contentEncoding: "utf-8",
        headers,
        correlationId: taskId,
      },
      confirmed,
    );
  }
}
