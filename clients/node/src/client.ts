/** Sends jobs to callworker, takes them back, and reads what became of them. */

import type { ConnectionOptions } from "node:tls";
import { type Address, addresses } from "./address";
import { AmqpLink, amqplib } from "./amqp";
import { AmqpEvents } from "./amqp-events";
import { AmqpSender } from "./amqp-sender";
import { CallworkerError, ConfigurationError } from "./errors";
import { type CallTypes, type EventOptions, EventStream, type Source } from "./events";
import type { CallEvent } from "./generated";
import { checked, checkedAll, checkedName, type ExtendedJobInput, type JobInput } from "./job";
import { cancelMessage, type Message, verifyMessage } from "./message";
import { BATCH, Outbox, type Sender } from "./outbox";
import { type Driver, RedisLink, redisDriver } from "./redis";
import { RedisEvents } from "./redis-events";
import { DurableList, OwnList } from "./redis-lists";
import { MOST_REPLICAS, RedisSender } from "./redis-sender";
import { checkedQueue, checkedTypes } from "./results";
import { Sentinels } from "./sentinels";
import { first } from "./waiting";

export interface ClientOptions {
  /** How long to wait for a connection, and for each answer of the broker. Default: 5000. */
  timeoutMs?: number;
  /** Accept the fields of the provider's older page, as workers with PROXSTOP_EXTENDED=on do. */
  extended?: boolean;
  /** The workers' AMQP_QUEUE_TYPE, if it is set: the type of the queues on RabbitMQ. */
  queueType?: string;
  /**
   * The workers' REDIS_REPLICAS, if it is set: a job counts as sent once so many replicas of a Redis have it, so that a
   * failover does not forget it. Default: 0.
   */
  replicas?: number;
  /** Which package speaks to Redis. Default: `ioredis` if it is installed, else `redis`. */
  driver?: Driver;
  /** Options of `node:tls` for rediss:// and amqps://, such as `ca`. They go before those in the address. */
  tls?: ConnectionOptions;
}

/** What a broker can do for a client. */
interface Broker {
  sender(): Promise<Sender>;
  /** Return what connects, and connects again, to the queue or to one of the reader's own. */
  events(types: readonly string[], queue: string | undefined): () => Promise<Source>;
}

/**
 * A client of one broker. It connects at the first job, keeps the connection, and connects again after it was lost.
 *
 * Use one client for a whole program: jobs that are sent at the same time share round trips. An open connection keeps
 * the program running until `close()`.
 */
export class Client {
  readonly #broker: Broker;
  readonly #extended: boolean;
  readonly #outbox: Outbox;
  readonly #streams = new Set<EventStream>();
  #closed = false;

  /**
   * The broker is at `url`, or BROKER_URL, or REDIS_URL: redis://, rediss://, redis+sentinel://, unix://, amqp:// or
   * amqps://; several addresses are separated by `;`. Throws ConfigurationError for an address that cannot be read, or if the package
   * that speaks to the broker is not installed.
   */
  constructor(url?: string, options: ClientOptions = {}) {
    const given = url ?? (process.env.BROKER_URL || process.env.REDIS_URL);
    if (!given) throw new ConfigurationError("no broker: give its address, or set BROKER_URL or REDIS_URL");
    this.#broker = brokerAt(addresses(given, options.tls), options);
    this.#extended = options.extended ?? false;
    this.#outbox = new Outbox(() => this.#broker.sender());
  }

  /**
   * Check and send one job, and return its id. A job without an id gets a random one.
   *
   * Throws InvalidJob, whose text names each wrong field without its value; nothing was sent then. Throws
   * BrokerUnavailable if the broker did not confirm the job. It may have arrived or not, so send it again with the same
   * id: one id is one call, however often it is sent.
   */
  async enqueue(job: JobInput | ExtendedJobInput): Promise<string> {
    const fields = checked(job, this.#extended);
    await this.#send([verifyMessage(fields)]);
    return fields.id;
  }

  /**
   * Check all jobs, then send them, and return their ids in the same order. Nothing is sent unless every job is valid.
   *
   * Give an id to each job that you may have to send again: random ids are lost if this throws. `progress` is called
   * after each part with the number of jobs sent so far. Throws InvalidJob for the first wrong job, with its place
   * (from 0), and BrokerUnavailable as `enqueue` does; some jobs may have been sent then.
   */
  async enqueueMany(
    jobs: Iterable<JobInput | ExtendedJobInput>, options: { progress?: (sent: number) => void } = {},
  ): Promise<string[]> {
    const all = checkedAll(jobs, this.#extended);
    for (let sent = 0; sent < all.length; sent += BATCH) {
      await this.#send(all.slice(sent, sent + BATCH).map(verifyMessage));
      options.progress?.(Math.min(sent + BATCH, all.length));
    }
    return all.map(({ id }) => id);
  }

  /**
   * Ask to take a job back that waits, and return once the broker has the request. The answer is an event:
   * `call.expired` with the code CANCELED, or `job.not_canceled` with the state of the job if it is too late. With
   * `account`, only a job of that account is taken back. Throws InvalidJob for what cannot be an id or account.
   */
  async cancel(id: string, options: { account?: string } = {}): Promise<void> {
    await this.#send([cancelMessage(checkedName(id, options.account))]);
  }

  /**
   * Return the events of the given types as they come, for `for await`. It listens at once: events of jobs that this
   * client sends after this call are not missed.
   *
   * Without `queue`, it reads a queue of its own, which has the events from now on. With `queue`, it reads a durable
   * queue of that name, which keeps events while no program runs; each event comes at least once.
   */
  events(options?: EventOptions<CallTypes>): EventStream<CallEvent>;
  events(options: EventOptions): EventStream;
  events({ types, queue }: EventOptions = {}): EventStream {
    this.#checkOpen();
    const connect = this.#broker.events(checkedTypes(types), queue === undefined ? undefined : checkedQueue(queue));
    const stream = new EventStream(connect, queue !== undefined, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  /**
   * Send one job and return the event that tells how it ended, or undefined if it did not come in `timeoutMs`.
   *
   * For tests, scripts and commands. A web server sends the job, answers, and reads events in another place. A repeat of
   * a job that has ended has no new event. Throws as `enqueue` and `events` do.
   */
  async call(
    job: JobInput | ExtendedJobInput, options: { timeoutMs?: number } = {},
  ): Promise<CallEvent | undefined> {
    const events = this.events();
    let timer: NodeJS.Timeout | undefined;
    try {
      await events.ready;
      const id = await this.enqueue(job);
      timer = setTimeout(() => void events.close(), options.timeoutMs ?? 60_000);
      for await (const event of events) if (event.data.id === id) return event;
      return undefined;
    } finally {
      clearTimeout(timer);
      await events.close();
    }
  }

  /** Wait for the jobs that are on their way, end all events, and close the connections. Never throws. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#outbox.close(), ...[...this.#streams].map((stream) => stream.close())]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #send(messages: readonly Message[]): Promise<void> {
    this.#checkOpen();
    if (this.#streams.size > 0) await Promise.allSettled([...this.#streams].map(({ ready }) => ready));
    const sent = await Promise.allSettled(messages.map((message) => this.#outbox.send(message)));
    for (const each of sent) if (each.status === "rejected") throw each.reason;
  }

  #checkOpen(): void {
    if (this.#closed) throw new CallworkerError("the client is closed");
  }
}

function brokerAt(places: [Address, ...Address[]], options: ClientOptions): Broker {
  const { timeoutMs = 5000, queueType, replicas = 0, driver } = options;
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) throw new ConfigurationError("timeoutMs: must be a number of milliseconds");
  if (!(Number.isInteger(replicas) && replicas >= 0 && replicas <= MOST_REPLICAS)) {
    throw new ConfigurationError(`replicas: allowed is a whole number from 0 to ${MOST_REPLICAS}`);
  }
  if (places[0].kind === "redis") {
    const connect = redisDriver(driver);
    const named = new Map(places.map((place) => [place, place.sentinels && new Sentinels(place.sentinels)]));
    const open = (place: Address): Promise<RedisLink> =>
      named.get(place)?.open(connect, place, timeoutMs) ?? RedisLink.open(connect, place, timeoutMs);
    const link = (): Promise<RedisLink> => first(places, open);
    return {
      sender: async () => new RedisSender(await link(), replicas, timeoutMs),
      events: (types, queue) => {
        const list = queue === undefined ? new OwnList() : new DurableList(queue);
        return async () => RedisEvents.on(await link(), list, types);
      },
    };
  }
  const library = amqplib();
  const link = (): Promise<AmqpLink> => first(places, (place) => AmqpLink.open(library, place, timeoutMs));
  return {
    sender: async () => AmqpSender.on(await link(), queueType),
    events: (types, queue) => async () => AmqpEvents.on(await link(), types, queue, queueType),
  };
}
