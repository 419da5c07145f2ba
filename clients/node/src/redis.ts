/** Connections to Redis, with either of the packages `ioredis` and `redis`. */

import { type Address, distrusted } from "./address";
import { BrokerRefused, BrokerUnavailable, ConfigurationError } from "./errors";
import { within } from "./waiting";

export type Driver = "ioredis" | "redis";

export type Command = readonly [name: string, ...words: string[]];

/** What is used of a package's client. It does not connect again by itself, and has no commands of its own to send. */
interface Connection {
  command(...command: Command): Promise<unknown>;
  close(): void;
}

export type Connect = (address: Address, timeoutMs: number) => Promise<Connection>;

/** The packages' own shapes, as far as they are used: their types may not be installed where this is compiled. */
interface IoRedis {
  on(event: "error", act: (error: Error) => void): void;
  connect(): Promise<void>;
  call(name: string, ...words: string[]): Promise<unknown>;
  disconnect(): void;
  readonly status: string;
}
interface NodeRedis {
  on(event: "error", act: () => void): void;
  connect(): Promise<unknown>;
  sendCommand(words: string[]): Promise<unknown>;
  destroy?(): void;
  disconnect(): unknown;
}

/** Codes of a server that is up but cannot take a write at the moment, or is no longer the primary. */
const NOT_NOW = /^(READONLY|MASTERDOWN|NOREPLICAS|UNBLOCKED|OOM|MISCONF|BUSY|LOADING|CLUSTERDOWN|TRYAGAIN|NOSCRIPT) /;
const REPLY = /^[A-Z][A-Z_]{2,} /;
/** Redis repeats the words of a command that it does not know. */
const ECHO = /,? with args beginning with.*/s;

/** Load the package, so that a missing one is told at the start. Throws ConfigurationError. */
export function redisDriver(wanted: Driver | undefined): Connect {
  const loaders = { ioredis: withIoRedis, redis: withNodeRedis };
  const names = Object.keys(loaders) as Driver[];
  if (wanted !== undefined && !names.includes(wanted)) throw new ConfigurationError(`driver: must be ${names.join(" or ")}`);
  for (const name of wanted === undefined ? names : [wanted]) {
    const found = ifInstalled(name, loaders[name]);
    if (found !== undefined) return found;
  }
  throw new ConfigurationError(`Redis needs the package ${wanted ?? "ioredis or redis"}: npm install ${wanted ?? "ioredis"}`);
}

/** Return what `load` gives, or undefined if it is the package itself that cannot be found. */
export function ifInstalled<Value>(name: string, load: () => Value): Value | undefined {
  try {
    return load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "MODULE_NOT_FOUND" && message.includes(`'${name}'`)) return undefined;
    throw error;
  }
}

/** A connection that has logged in and is in the right database. Every wait for an answer ends after `timeoutMs`. */
export class RedisLink {
  readonly #connection: Connection;
  readonly #timeoutMs: number;
  readonly #moved: (() => Promise<boolean>) | undefined;

  private constructor(connection: Connection, timeoutMs: number, moved?: () => Promise<boolean>) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#moved = moved;
  }

  /** The same connection, with another wait, and with a question before each sending: whether it leads to the wrong server. */
  guarded(timeoutMs: number, moved: () => Promise<boolean>): RedisLink {
    return new RedisLink(this.#connection, timeoutMs, moved);
  }

  /** Connect. Throws BrokerUnavailable, or BrokerRefused for a wrong password or database. */
  static async open(connect: Connect, address: Address, timeoutMs: number): Promise<RedisLink> {
    const opening = connect(address, timeoutMs);
    let link: RedisLink;
    try {
      link = new RedisLink(await within(timeoutMs, "Redis cannot be reached", opening), timeoutMs);
    } catch (error) {
      opening.then((connection) => connection.close(), () => {});
      throw translated(error, "Redis cannot be reached");
    }
    try {
      // The packages would go on after an error here, in another database or as another user.
      if (address.password !== undefined) {
        await link.all([["AUTH", ...(address.username ? [address.username] : []), address.password]]);
      }
      if (address.database !== "0") await link.all([["SELECT", address.database]]);
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  /** Send commands together and return their answers. Throws BrokerRefused for the first one that was refused. */
  async all(commands: readonly Command[]): Promise<unknown[]> {
    const replies = await this.each(commands);
    for (const reply of replies) if (reply instanceof BrokerRefused) throw reply;
    return replies;
  }

  /** The same, with a BrokerRefused in place of the answer to each command that was refused. Throws any other error. */
  async each(commands: readonly Command[]): Promise<unknown[]> {
    if (this.#moved !== undefined && (await this.#moved())) {
      throw new BrokerUnavailable("the Sentinels name another master");
    }
    const sent = commands.map((words) =>
      this.#connection.command(...words).catch((error: unknown) => {
        const problem = translated(error, "Redis did not take a command");
        if (problem instanceof BrokerRefused) return problem;
        throw problem;
      }),
    );
    return within(this.#timeoutMs, "Redis does not answer", Promise.all(sent));
  }

  /** Close the connection at once. */
  close(): void {
    this.#connection.close();
  }
}

/** The error without its details, which hold the words of the command and so a PIN. */
function translated(error: unknown, doing: string): BrokerUnavailable {
  if (error instanceof BrokerUnavailable) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  const told = message.replace(ECHO, "") || code || "the connection was lost";
  const refused = distrusted(error) || (REPLY.test(message) && !NOT_NOW.test(message));
  const Kind = refused ? BrokerRefused : BrokerUnavailable;
  return new Kind(`${doing}: ${told}`);
}

function withIoRedis(): Connect {
  const { Redis } = require("ioredis") as { Redis: new (options: object) => IoRedis };
  return async ({ host, port, path, tls }, timeoutMs) => {
    const client = new Redis({
      ...(path === undefined ? { host, port } : { path }),
      ...(tls !== undefined && { tls }),
      connectTimeout: timeoutMs,
      lazyConnect: true,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      disableClientInfo: true,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: null,
      protocol: 2,
    });
    let reason: Error | undefined;
    client.on("error", (error) => (reason = error));
    await client.connect().catch((error: unknown) => {
      client.disconnect();
      throw reason ?? error;
    });
    return {
      command: (name, ...words) => client.call(name, ...words),
      close: () => {
        // To end an ended one would keep the program running for two more seconds.
        if (client.status !== "end") client.disconnect();
      },
    };
  };
}

function withNodeRedis(): Connect {
  const { createClient } = require("redis") as { createClient: (options: object) => NodeRedis };
  return async ({ host, port, path, tls }, timeoutMs) => {
    const client = createClient({
      socket: {
        ...(path === undefined ? { host, port } : { path }),
        ...(tls !== undefined && { ...tls, tls: true }),
        connectTimeout: timeoutMs,
        reconnectStrategy: false,
      },
      disableOfflineQueue: true,
      disableClientInfo: true,
      RESP: 2,
    });
    client.on("error", () => {});
    await client.connect();
    return { command: (...words) => client.sendCommand([...words]), close: () => quietly(client) };
  };
}

/** `destroy` is the name from version 5 on. Both complain about a connection that was lost before. */
function quietly(client: NodeRedis): void {
  try {
    void Promise.resolve(client.destroy === undefined ? client.disconnect() : client.destroy()).catch(() => {});
  } catch {
    // It is closed.
  }
}
