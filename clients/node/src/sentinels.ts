/** Finds the master that Redis Sentinel names. See `callworker.sentinels` and `masters` in the client for Python. */

import type { Address } from "./address";
import { BrokerRefused, BrokerUnavailable } from "./errors";
import { type Command, type Connect, RedisLink } from "./redis";

/** The longest wait for a connection to a Sentinel, and for its answer. */
const ASK_MS = 500;
/** The longest wait to connect to a server that was named: one that hangs is soon named no more. */
const CHECK_MS = 1000;
/** How often it is asked whether the master is still the same, while there is something to send. */
const LOOK_MS = 1000;
/** The same, while no Sentinel answers. */
const SILENT_MS = 5000;

interface Named {
  host: string;
  port: number;
  /** The number of the failover that chose it. */
  epoch: number;
  down: boolean;
  by: Address;
}

/** The Sentinels of one address, and what they said last. */
export class Sentinels {
  readonly #name: string;
  #order: Address[];
  #epoch = 0;
  #lookAt = 0;

  /** `places` are the Sentinels themselves, with their user and TLS; `name` is the master's. */
  constructor({ places, name }: NonNullable<Address["sentinels"]>) {
    this.#order = [...places];
    this.#name = name;
  }

  /**
   * Connect to the first server that is named and says itself that it is the master. Throws BrokerUnavailable, or
   * BrokerRefused if all Sentinels refuse.
   */
  async open(connect: Connect, address: Address, timeoutMs: number): Promise<RedisLink> {
    let problem: BrokerUnavailable | undefined;
    for await (const named of this.#masters(connect)) {
      try {
        return await this.#checked(connect, address, named, timeoutMs);
      } catch (error) {
        if (error instanceof BrokerRefused) throw error;
        problem = error as BrokerUnavailable;
        this.#order = [...this.#order.filter((each) => each !== named.by), named.by];
      }
    }
    throw problem ?? new BrokerUnavailable(`no Sentinel names a master ${this.#name} that can be used`);
  }

  async #checked(connect: Connect, address: Address, named: Named, timeoutMs: number): Promise<RedisLink> {
    const { host, port } = named;
    const place = { ...address, host, port, ...(address.tls && { tls: { ...address.tls, ...servername(host) } }) };
    const link = await RedisLink.open(connect, place, Math.min(timeoutMs, CHECK_MS));
    try {
      // A user who may not ask learns nothing.
      const [role] = await link.each([["ROLE"]]);
      if (Array.isArray(role) && String(role[0]) !== "master") {
        throw new BrokerUnavailable(`the Sentinels name ${host}:${port}, which is no master`);
      }
    } catch (error) {
      link.close();
      throw error;
    }
    return link.guarded(timeoutMs, () => this.#moved(connect, named));
  }

  /** Return whether another master is named now. It is asked once a second; no answer counts as no. */
  async #moved(connect: Connect, now: Named): Promise<boolean> {
    if (Date.now() < this.#lookAt) return false;
    try {
      for await (const { host, port } of this.#masters(connect)) return host !== now.host || port !== now.port;
    } catch {
      // It is no news.
    }
    return false;
  }

  /** Ask one Sentinel after the other: doubtful answers come last. Throws BrokerRefused if all refuse. */
  async *#masters(connect: Connect): AsyncGenerator<Named> {
    this.#lookAt = Date.now() + LOOK_MS;
    const doubtful: Named[] = [];
    const problems: unknown[] = [];
    for (const place of [...this.#order]) {
      let named: Named;
      try {
        named = await ask(connect, place, this.#name);
      } catch (error) {
        problems.push(error);
        this.#order = [...this.#order.filter((each) => each !== place), place];
        continue;
      }
      if (named.down || named.epoch < this.#epoch) doubtful.push(named);
      else {
        this.#epoch = named.epoch;
        this.#order = [place, ...this.#order.filter((each) => each !== place)];
        yield named;
      }
    }
    // Answers older than one that was had before lead to a server that was replaced, unless no Sentinel knows better.
    if (doubtful.length === this.#order.length) {
      this.#epoch = Math.min(this.#epoch, Math.max(...doubtful.map(({ epoch }) => epoch)));
    }
    yield* doubtful.filter(({ epoch }) => epoch >= this.#epoch).sort((one, other) => other.epoch - one.epoch);
    if (problems.length < this.#order.length) return;
    this.#lookAt = Date.now() + SILENT_MS;
    if (problems.every((error) => error instanceof BrokerRefused)) throw problems[0];
  }
}

function servername(host: string): { servername?: string } {
  return /^[0-9.]+$|:/.test(host) ? {} : { servername: host };
}

async function ask(connect: Connect, place: Address, name: string): Promise<Named> {
  const link = await RedisLink.open(connect, place, ASK_MS);
  try {
    // While a Sentinel makes a replica the master, only the first answer tells it.
    const questions: Command[] = [["SENTINEL", "MASTER", name], ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]];
    const [facts, found] = (await link.all(questions)) as [unknown[], unknown[] | null];
    if (found === null) throw new BrokerUnavailable("a Sentinel names no master");
    const told = new Map(facts.flatMap((word, at) => (at % 2 ? [] : [[String(word), String(facts[at + 1])]])));
    const [host, port] = [String(found[0]), Number(found[1])];
    const same = told.get("ip") === host && told.get("port") === String(port);
    const down = same && /_down/.test(told.get("flags") ?? "");
    return { host, port, epoch: Number(told.get("config-epoch") ?? 0), down, by: place };
  } finally {
    link.close();
  }
}
