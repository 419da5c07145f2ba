/**
 * Queues of events that are lists in Redis: their bindings, and the scripts that read them.
 *
 * Workers put events into the lists as kombu does. Source: kombu 5, kombu/transport/redis.py, `_queue_bind` and `_put`.
 * The scripts are those of the Python client, so that readers in both languages share a list.
 */

import { randomUUID } from "node:crypto";
import type { Command } from "./redis";
import { listener, LISTENERS, RESULTS } from "./results";
import { scripts } from "./scripts";

/** How long a list of one reader's own outlives the last look at it. */
const LIFE_MS = "60000";
/** How long a reader of a durable queue has an event before the event is given to another reader. */
const LEASE_MS = "60000";
const MAX_TAKEN = "1000";
const SEPARATOR = "\x06\x16";

export const BINDINGS = [`_kombu.binding.${RESULTS}`, `_kombu.binding_permanent.${RESULTS}`] as const;

/** One queue as a list in Redis. */
export interface EventList {
  readonly name: string;
  /** What makes the list, without its bindings. */
  make(): Command[];
  /** The command that takes the next events. */
  look(): Command;
  /** Read its reply: the messages, oldest first; undefined if the list is gone. */
  found(reply: unknown): string[] | undefined;
  /** The event that was taken last has been worked on. */
  done(): void;
  /** What keeps the list while no look comes. The reply of the first command is 0 if the list is gone. */
  keep(): Command[];
  /** What a reader does at its end. */
  leave(): Command[];
}

/** A list of one reader's own. What is read is removed at once, and the list goes with its reader. */
export class OwnList implements EventList {
  readonly name = listener();

  make(): Command[] {
    return [["EVAL", scripts.make_own, "1", this.name, LIFE_MS]];
  }

  look(): Command {
    return ["EVAL", scripts.take_own, "1", this.name, MAX_TAKEN, LIFE_MS];
  }

  found(reply: unknown): string[] | undefined {
    return reply === null ? undefined : (reply as string[]).reverse();
  }

  done(): void {}

  keep(): Command[] {
    return [["PEXPIRE", this.name, LIFE_MS]];
  }

  leave(): Command[] {
    return [["DEL", this.name]];
  }
}

/** A list that outlives its readers, who share its events. Each event is taken once the one before it is done. */
export class DurableList implements EventList {
  readonly name: string;
  readonly #reader = randomUUID();
  #done = false;

  constructor(name: string) {
    this.name = name;
  }

  /** Nothing: a list is made by the first event in it. */
  make(): Command[] {
    return [];
  }

  look(): Command {
    const mode = this.#done ? "done" : "again";
    // Until a reply has come nobody knows what this reader holds, so it gives that back at the next look.
    this.#done = false;
    return this.#take(mode);
  }

  found(reply: unknown): string[] {
    return reply === null ? [] : [reply as string];
  }

  done(): void {
    this.#done = true;
  }

  keep(): Command[] {
    return [];
  }

  leave(): Command[] {
    return this.#done ? [this.#take("done"), this.#take("leave")] : [this.#take("leave")];
  }

  #take(mode: string): Command {
    const keys = [this.name, `${this.name}.taken`, `${this.name}.leases`];
    return ["EVAL", scripts.take_durable, String(keys.length), ...keys, this.#reader, LEASE_MS, mode];
  }
}

/** Bind the list for these types with SADD; with SREM, remove its bindings. */
export function bind(command: "SADD" | "SREM", types: readonly string[], list: string): Command[] {
  const members = types.map((type) => [type, pattern(type), list].join(SEPARATOR));
  return BINDINGS.map((key) => [command, key, ...members]);
}

/** Of the members of a set of bindings, those of lists that have one reader each, with the names of the lists. */
export function ownLists(members: Iterable<string>): [member: string, list: string][] {
  return [...members]
    .map((member): [string, string] => [member, member.slice(member.lastIndexOf(SEPARATOR) + SEPARATOR.length)])
    .filter(([, list]) => list.startsWith(LISTENERS));
}

/** The event in a message of kombu's form. Anything else is returned as it is. */
export function bodyOf(row: string): string {
  try {
    const { body, properties } = JSON.parse(row) as { body: string; properties: { body_encoding?: string } };
    return properties.body_encoding === "base64" ? Buffer.from(body, "base64").toString() : body;
  } catch {
    return row;
  }
}

/** Return the pattern of types in the form in which kombu stores it with a binding. */
function pattern(type: string): string {
  const words = type.split(".").map((word) => ({ "*": "[^\\.]+", "#": ".*?" })[word] ?? word.replace(/[_-]/g, "\\$&"));
  return `^${words.join("\\.")}$`;
}
