/** The names under which events are published and read. Source: docs/reference/events.md, "Results queue". */

import { randomUUID } from "node:crypto";
import { ConfigurationError } from "./errors";

/** The topic exchange; the routing key is the event's type. */
export const RESULTS = "results";
/** Queues with such a name live no longer than their one reader, and workers do not make them again. */
export const LISTENERS = "results.listen.";

const PATTERN = /^(?:[A-Za-z0-9_-]+|\*|#)(?:\.(?:[A-Za-z0-9_-]+|\*|#))*$/;
const NAME = /^[A-Za-z0-9_.:-]{1,200}$/;
const OF_JOBS = /^calls(\..*)?$/;

/** Return a new name for a queue of one reader's own. */
export function listener(): string {
  return `${LISTENERS}${randomUUID().replaceAll("-", "")}`;
}

/** Return the patterns of types, each once. Throws ConfigurationError for what cannot be one. */
export function checkedTypes(types: string | readonly string[] = "call.*"): string[] {
  const patterns = typeof types === "string" ? [types] : [...types];
  if (patterns.length === 0 || !patterns.every((pattern) => typeof pattern === "string" && PATTERN.test(pattern))) {
    throw new ConfigurationError('types: must be types of events, such as "call.failed" or "call.*"');
  }
  return [...new Set(patterns)];
}

/** Return the name of a durable queue. Throws ConfigurationError for what cannot be one. */
export function checkedQueue(name: string): string {
  if (!NAME.test(name) || OF_JOBS.test(name) || name.startsWith(LISTENERS)) {
    throw new ConfigurationError(
      "queue: must be 1 to 200 characters of A-Z a-z 0-9 _ . : - and no queue of callworker's own, such as " +
        '"results.orders"',
    );
  }
  return name;
}
