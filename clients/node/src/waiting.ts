/** Waits that end. */

import { BrokerUnavailable } from "./errors";

/** Return what the promise gives, or throw BrokerUnavailable after `ms` milliseconds. What comes later is ignored. */
export async function within<Value>(ms: number, doing: string, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BrokerUnavailable(`${doing}: no answer within ${ms} ms`)), ms);
  });
  promise.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Wait for `ms` milliseconds, or until the signal says that nobody waits any more. Never throws. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(end, ms);
    function end(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    }
    signal?.addEventListener("abort", end);
  });
}

/** Try each address in turn, and return the first connection. Throws the last address' error. */
export async function first<Place, Value>(places: readonly Place[], connect: (place: Place) => Promise<Value>): Promise<Value> {
  let problem: unknown;
  for (const place of places) {
    try {
      return await connect(place);
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}
