/** Connections to RabbitMQ, with the package `amqplib`. */

import { type Address, distrusted } from "./address";
import { BrokerRefused, BrokerUnavailable, ConfigurationError } from "./errors";
import { ifInstalled } from "./redis";
import { within } from "./waiting";

/** The package's own shapes, as far as they are used: its types may not be installed where this is compiled. */
export interface Delivered {
  content: Buffer;
  fields: { routingKey: string };
}
interface Emitter {
  on(event: string, act: (given: never) => void): unknown;
}
export interface Channel extends Emitter {
  assertQueue(name: string, options: object): Promise<unknown>;
  checkQueue(name: string): Promise<unknown>;
  assertExchange(name: string, kind: string, options: object): Promise<unknown>;
  checkExchange(name: string): Promise<unknown>;
  bindQueue(queue: string, exchange: string, pattern: string): Promise<unknown>;
  prefetch(count: number): Promise<unknown>;
  consume(queue: string, take: (message: Delivered | null) => void, options?: object): Promise<unknown>;
  ack(message: Delivered): void;
  publish(
    exchange: string, routingKey: string, body: Buffer, options: object, confirmed: (error: Error | null) => void,
  ): boolean;
  close(): Promise<void>;
}
interface Connection extends Emitter {
  createChannel(): Promise<Channel>;
  createConfirmChannel(): Promise<Channel>;
  close(): Promise<void>;
  connection?: { stream?: { destroy(reason: Error): void } };
}
export interface Amqplib {
  connect(address: object, options: object): Promise<Connection>;
  credentials: { external(): object };
}

/** What amqplib quotes of RabbitMQ's answers. */
const ACCESS_REFUSED = /\b403 \(ACCESS/;
const PRECONDITION_FAILED = /\b406 \(PRECONDITION/;
const NO_VIRTUAL_HOST = /ConnectionOpenOk; got <ConnectionClose/;
/** Answers that would come again: no right, not found, in use, other properties. */
const REFUSED = /\b(403|404|405|406|530) \(/;

/** Load the package, so that a missing one is told at the start. Throws ConfigurationError. */
export function amqplib(): Amqplib {
  const found = ifInstalled("amqplib", () => require("amqplib") as Amqplib);
  if (found === undefined) throw new ConfigurationError("RabbitMQ needs the package amqplib: npm install amqplib");
  return found;
}

/** A connection to RabbitMQ. Every wait for an answer ends after `timeoutMs`. */
export class AmqpLink {
  readonly timeoutMs: number;
  /** Why the connection, or a channel of `channel`, was lost; undefined while both are of use. */
  problem: BrokerUnavailable | undefined;
  /** Why RabbitMQ takes no messages at the moment, if it said so. */
  blocked: string | undefined;
  readonly #connection: Connection;
  readonly #listeners = new Set<(problem: BrokerUnavailable) => void>();
  readonly #declared = new Set<string>();

  private constructor(connection: Connection, timeoutMs: number) {
    this.#connection = connection;
    this.timeoutMs = timeoutMs;
    this.#watch(connection, "the connection was closed");
    connection.on("blocked", (reason: string) => (this.blocked = reason));
    connection.on("unblocked", () => (this.blocked = undefined));
  }

  /** Connect. Throws BrokerUnavailable, or BrokerRefused for a wrong password or virtual host. */
  static async open(library: Amqplib, address: Address, timeoutMs: number): Promise<AmqpLink> {
    const opening = library.connect(...argumentsOf(library, address, timeoutMs));
    try {
      return new AmqpLink(await within(timeoutMs, "RabbitMQ cannot be reached", opening), timeoutMs);
    } catch (error) {
      opening.then((connection) => void connection.close().catch(() => {}), () => {});
      throw translated(error, "RabbitMQ cannot be reached");
    }
  }

  /** Open a channel for as long as the connection. Its loss is that of the connection. */
  async channel(options: { confirms: boolean }): Promise<Channel> {
    const opening = options.confirms ? this.#connection.createConfirmChannel() : this.#connection.createChannel();
    const channel = await this.answer("RabbitMQ does not answer", opening);
    this.#watch(channel, "the channel was closed");
    return channel;
  }

  /** Call `act` when the connection is lost, at once if it is. Returns how to forget that. */
  whenLost(act: (problem: BrokerUnavailable) => void): () => void {
    if (this.problem === undefined) this.#listeners.add(act);
    else queueMicrotask(act.bind(undefined, this.problem));
    return () => this.#listeners.delete(act);
  }

  /** Return what RabbitMQ answers. Throws BrokerUnavailable or BrokerRefused. */
  async answer<Value>(doing: string, asked: Promise<Value>): Promise<Value> {
    try {
      return await within(this.timeoutMs, doing, asked);
    } catch (error) {
      throw translated(error, doing);
    }
  }

  /**
   * Declare a queue once on this connection. One that exists with other properties is used as it is, and one that the
   * user may not declare must exist. Throws BrokerRefused if it does not.
   */
  async declareQueue(name: string, options: object): Promise<void> {
    await this.#declare(`queue ${name}`, (channel) => channel.assertQueue(name, options), (channel) => channel.checkQueue(name));
  }

  /** Declare the queue again before it is used: it was deleted. */
  forgetQueue(name: string): void {
    this.#declared.delete(`queue ${name}`);
  }

  /** Declare a topic exchange in the same way. */
  async declareTopic(name: string): Promise<void> {
    await this.#declare(
      `exchange ${name}`,
      (channel) => channel.assertExchange(name, "topic", { durable: true }),
      (channel) => channel.checkExchange(name),
    );
  }

  /** Close the connection. Never throws. */
  async close(): Promise<void> {
    await within(this.timeoutMs, "closing", this.#connection.close()).catch(() => {});
    this.drop();
  }

  /** Leave the connection without a word to RabbitMQ, which may be silent. amqplib itself has no way to do that. */
  drop(): void {
    // Without an error, its heartbeats would go on and keep the program running.
    this.#connection.connection?.stream?.destroy(new Error("the connection was left"));
  }

  /** Do it on a channel of its own, which RabbitMQ closes if it refuses. Throws BrokerRefused then. */
  async tried(doing: string, act: (channel: Channel) => Promise<unknown>): Promise<void> {
    const channel = await this.answer(doing, this.#connection.createChannel());
    channel.on("error", () => {});
    await this.answer(doing, act(channel));
    await this.answer(doing, channel.close());
  }

  async #declare(
    name: string, make: (channel: Channel) => Promise<unknown>, find: (channel: Channel) => Promise<unknown>,
  ): Promise<void> {
    if (this.#declared.has(name)) return;
    try {
      await this.tried(`${name} cannot be declared`, make);
    } catch (error) {
      const { message } = error as Error;
      if (ACCESS_REFUSED.test(message)) await this.tried(`${name} cannot be used`, find);
      else if (!PRECONDITION_FAILED.test(message)) throw error;
    }
    this.#declared.add(name);
  }

  #watch(emitter: Emitter, closed: string): void {
    emitter.on("error", (error: Error) => this.lose(translated(error, closed)));
    emitter.on("close", () => this.lose(new BrokerUnavailable(closed)));
  }

  /** Take the connection for lost, and tell those who asked. */
  lose(problem: BrokerUnavailable): void {
    this.problem ??= problem;
    for (const act of this.#listeners) act(this.problem);
    this.#listeners.clear();
  }
}

function argumentsOf(library: Amqplib, address: Address, timeoutMs: number): [object, object] {
  const { host: hostname, port, username, password, database: vhost, tls, options } = address;
  const external = options.get("login_method")?.toUpperCase() === "EXTERNAL";
  return [
    { protocol: tls === undefined ? "amqp" : "amqps", hostname, port, username, password, vhost, heartbeat: options.get("heartbeat") },
    { ...tls, timeout: timeoutMs, noDelay: true, ...(external && { credentials: library.credentials.external() }) },
  ];
}

function translated(error: unknown, doing: string): BrokerUnavailable {
  if (error instanceof BrokerUnavailable) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  if (NO_VIRTUAL_HOST.test(message)) {
    return new BrokerRefused(`${doing}: there is no such virtual host, or the user may not use it`);
  }
  const Kind = distrusted(error) || REFUSED.test(message) ? BrokerRefused : BrokerUnavailable;
  return new Kind(`${doing}: ${message || code || "the connection was lost"}`);
}
