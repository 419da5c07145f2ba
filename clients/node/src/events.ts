/**
 * The events that tell what became of jobs.
 *
 * Later versions of callworker may add fields and types of events: ignore those that you do not know. Source:
 * docs/reference/events.md.
 */

import { BrokerRefused, BrokerUnavailable, InvalidEvent } from "./errors";
import type { CallworkerEvent } from "./generated";
import { pause } from "./waiting";

/** A type of events of calls, or the pattern of several, as `call.*`. */
export type CallTypes = `call.${string}`;

export interface EventOptions<Types extends string = string> {
  /** The types, as `call.failed`, or their patterns: `*` is one word, `#` any number of them. Default: `call.*`. */
  types?: Types | readonly Types[];
  /** The name of a durable queue. Default: a queue of its own, which lives as long as its one reader. */
  queue?: string;
}

/** Read an event from the bytes in which it was published. Throws InvalidEvent. */
export function parseEvent(body: string): CallworkerEvent {
  let event: unknown;
  try {
    event = JSON.parse(body);
  } catch {
    throw new InvalidEvent("the event is not JSON");
  }
  const { id, type, timestamp, data } = (event ?? {}) as Record<string, unknown>;
  const texts = [id, type, timestamp].every((each) => typeof each === "string" && each !== "");
  if (!texts || typeof data !== "object" || data === null) {
    throw new InvalidEvent("the event lacks an id, a type, a timestamp or data");
  }
  return event as CallworkerEvent;
}

/** One connection to a queue of events. */
export interface Source {
  /** Return the next event, or undefined once the signal has ended the waiting. Throws BrokerUnavailable. */
  take(signal: AbortSignal): Promise<Taken | undefined>;
  /** Give back what is not settled, and close the connection. Never throws. */
  close(): Promise<void>;
  /** Leave a connection that failed, without a word to the broker. Never throws. */
  drop(): void;
}

/** An event that comes again to some reader unless it is settled. */
export interface Taken {
  body: string;
  settle(): Promise<void>;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;

/**
 * Events as they come, for `for await`. It listens from the moment it was made.
 *
 * An event is done when the next one is asked for. If the loop ends before that, or the program dies, the event comes
 * again from a named queue. When the connection is lost, the stream connects again, for as long as it takes, and warns
 * once (`process.on("warning")`); a queue of its own may then have missed events. A stream ends when it or its client is
 * closed. `next()` throws BrokerUnavailable if the queue could not be made, and BrokerRefused if the broker refuses.
 */
export class EventStream<Event extends CallworkerEvent = CallworkerEvent> implements AsyncIterableIterator<Event> {
  /** Resolves once the queue exists, so that no later event is missed. Rejects as the first `next()` does. */
  readonly ready: Promise<void>;
  readonly #connect: () => Promise<Source>;
  readonly #durable: boolean;
  readonly #ended = new AbortController();
  readonly #events: AsyncGenerator<Event, undefined, undefined>;
  readonly #left: () => void;
  #lost = false;
  #source: Promise<Source> | undefined;

  /** @internal `durable` says whether events are kept while nobody is connected; `left` is called at the end. */
  constructor(connect: () => Promise<Source>, durable: boolean, left: () => void) {
    this.#connect = connect;
    this.#durable = durable;
    this.#left = left;
    this.ready = this.#open().then(() => undefined);
    this.ready.catch(() => {});
    this.#events = this.#read();
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    return this.#events.next();
  }

  /** End the stream. What `next()` waits for ends as well. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  /** The same as `return`. Never throws. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#events.return(undefined).catch(() => {});
    await this.#leave();
    this.#left();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *#read(): AsyncGenerator<Event, undefined, undefined> {
    try {
      await this.ready;
      for (;;) {
        const taken = await this.#take();
        if (taken === undefined) return;
        const event = parsed(taken.body);
        if (event !== undefined) yield event as Event;
        await this.#settle(taken);
      }
    } catch (error) {
      if (!this.#ended.signal.aborted) throw error;
    } finally {
      await this.#leave();
      this.#left();
    }
  }

  async #take(): Promise<Taken | undefined> {
    const { signal } = this.#ended;
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      try {
        const source = await this.#open();
        if (this.#lost) this.#readAgain();
        return signal.aborted ? undefined : await source.take(signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        if (!mayConnectAgain(error)) throw error;
        if (!this.#lost) warn(`events cannot be read: ${(error as Error).message}; trying again`);
        this.#lost = true;
        this.#source?.then((source) => source.drop(), () => {});
        this.#source = undefined;
        await pause(wait, signal);
      }
    }
  }

  #readAgain(): void {
    this.#lost = false;
    const missed = "; those of the meantime may have been missed, which only a named queue keeps";
    warn(`events are read again${this.#durable ? "" : missed}`);
  }

  #open(): Promise<Source> {
    return (this.#source ??= this.#connect());
  }

  /** If the connection was lost, an event of a named queue comes again. */
  async #settle(taken: Taken): Promise<void> {
    try {
      await taken.settle();
    } catch (error) {
      if (!mayConnectAgain(error)) throw error;
    }
  }

  async #leave(): Promise<void> {
    const source = this.#source;
    this.#source = undefined;
    await source?.then((opened) => opened.close(), () => {});
  }
}

function mayConnectAgain(error: unknown): boolean {
  return error instanceof BrokerUnavailable && !(error instanceof BrokerRefused);
}

function parsed(body: string): CallworkerEvent | undefined {
  try {
    return parseEvent(body);
  } catch (error) {
    warn(`a message of the queue was left out: ${(error as Error).message}`);
    return undefined;
  }
}

function warn(text: string): void {
  process.emitWarning(text, "CallworkerWarning");
}
