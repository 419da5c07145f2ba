/** Reads a list of events in Redis. It looks again and again: ever less often while nothing comes. */

import { BrokerUnavailable } from "./errors";
import type { Source, Taken } from "./events";
import type { RedisLink } from "./redis";
import { bind, BINDINGS, bodyOf, type EventList, ownLists } from "./redis-lists";
import { pause } from "./waiting";

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 200;
/** How often the list is kept and bound again: the reader may be slow, and a Redis may have come back empty. */
const UPKEEP_MS = 20_000;
const GONE = "the queue of events is gone";

export class RedisEvents implements Source {
  readonly #link: RedisLink;
  readonly #list: EventList;
  readonly #types: readonly string[];
  readonly #upkeep: NodeJS.Timeout;
  readonly #come: string[] = [];
  #problem: BrokerUnavailable | undefined;

  private constructor(link: RedisLink, list: EventList, types: readonly string[]) {
    this.#link = link;
    this.#list = list;
    this.#types = types;
    this.#upkeep = setInterval(() => void this.#keep(), UPKEEP_MS);
    this.#upkeep.unref();
  }

  /** Make the list and bind it. Closes the connection if it cannot. */
  static async on(link: RedisLink, list: EventList, types: readonly string[]): Promise<RedisEvents> {
    try {
      await link.all([...list.make(), ...bind("SADD", types, list.name)]);
      await removeAbandoned(link);
      return new RedisEvents(link, list, types);
    } catch (error) {
      link.close();
      throw error;
    }
  }

  async take(signal: AbortSignal): Promise<Taken | undefined> {
    for (let wait = FIRST_PAUSE_MS; this.#come.length === 0; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      if (this.#problem !== undefined) throw this.#problem;
      if (signal.aborted) return undefined;
      const [reply] = await this.#link.all([this.#list.look()]);
      const rows = this.#list.found(reply);
      if (rows === undefined) throw new BrokerUnavailable(GONE);
      this.#come.push(...rows);
      if (rows.length === 0) await pause(wait, signal);
    }
    const row = this.#come.shift() as string;
    return { body: bodyOf(row), settle: async () => this.#list.done() };
  }

  async close(): Promise<void> {
    await this.#link.all(this.#list.leave()).catch(() => {});
    this.drop();
  }

  drop(): void {
    clearInterval(this.#upkeep);
    this.#link.close();
  }

  async #keep(): Promise<void> {
    try {
      const keep = this.#list.keep();
      const [there] = await this.#link.all([...keep, ...bind("SADD", this.#types, this.#list.name)]);
      if (keep.length > 0 && there === 0) this.#problem = new BrokerUnavailable(GONE);
    } catch (error) {
      this.#problem = error as BrokerUnavailable;
    }
  }
}

/** Remove the bindings that readers left which were killed. Their lists have expired. */
async function removeAbandoned(link: RedisLink): Promise<void> {
  const [members] = await link.all([["SMEMBERS", BINDINGS[0]]]);
  const bound = ownLists(members as string[]);
  const exist = await link.all(bound.map(([, list]) => ["EXISTS", list]));
  const gone = bound.filter((_, place) => exist[place] === 0).map(([member]) => member);
  if (gone.length > 0) await link.all(BINDINGS.map((key) => ["SREM", key, ...gone]));
}
