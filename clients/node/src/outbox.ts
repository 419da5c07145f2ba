/** Gathers what is sent at about the same time into batches, one after the other, over one connection that is kept. */

import { BrokerUnavailable } from "./errors";
import type { Message } from "./message";

/** One connection to a broker. */
export interface Sender {
  /**
   * Send a batch, and return for each message undefined once the broker has it, or why the broker did not take it.
   *
   * Throws BrokerUnavailable if the connection is no longer of use; then any part of the batch may be out.
   */
  send(batch: readonly Message[]): Promise<(BrokerUnavailable | undefined)[]>;
  /** Close the connection. Never throws. */
  close(): Promise<void>;
  /** Leave a connection that failed, without a word to the broker. Never throws. */
  drop(): void;
}

/** The most messages that are sent together. */
export const BATCH = 500;

interface Waiting {
  message: Message;
  done: (error?: BrokerUnavailable) => void;
}

export class Outbox {
  readonly #connect: () => Promise<Sender>;
  #waiting: Waiting[] = [];
  #sender: Sender | undefined;
  #pumping: Promise<void> | undefined;

  constructor(connect: () => Promise<Sender>) {
    this.#connect = connect;
  }

  /** Send a message. Throws BrokerUnavailable if the broker did not confirm it. */
  send(message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ message, done: (error) => (error === undefined ? resolve() : reject(error)) });
      this.#pumping ??= this.#pump();
    });
  }

  /** Wait for what is under way, then close the connection. Never throws. */
  async close(): Promise<void> {
    await this.#pumping;
    const sender = this.#sender;
    this.#sender = undefined;
    await sender?.close();
  }

  async #pump(): Promise<void> {
    // What else is sent in this turn of the event loop joins the first batch.
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, BATCH);
      try {
        const outcomes = await this.#deliver(batch.map(({ message }) => message));
        batch.forEach(({ done }, place) => done(outcomes[place]));
      } catch (error) {
        this.#drop();
        // The broker is away: those that wait behind learn it now, not after a timeout each.
        for (const { done } of [...batch, ...this.#waiting.splice(0)]) done(error as BrokerUnavailable);
      }
    }
    this.#pumping = undefined;
  }

  /** An idle connection may have been lost unnoticed; a new one shows whether the broker can be reached. */
  async #deliver(batch: readonly Message[]): Promise<(BrokerUnavailable | undefined)[]> {
    if (this.#sender !== undefined) {
      try {
        return await this.#sender.send(batch);
      } catch (error) {
        if (!(error instanceof BrokerUnavailable)) throw error;
        this.#drop();
      }
    }
    this.#sender = await this.#connect();
    return this.#sender.send(batch);
  }

  #drop(): void {
    this.#sender?.drop();
    this.#sender = undefined;
  }
}
