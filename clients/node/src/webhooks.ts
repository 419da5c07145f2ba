/**
 * Verifies webhooks before anything in them is believed.
 *
 * Source: Standard Webhooks specification 1.0.0, "Signature scheme".
 */

import { createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { ConfigurationError, InvalidSignature } from "./errors";
import { parseEvent } from "./events";
import type { CallEvent } from "./generated";

const TOLERANCE_SECONDS = 300;
const PUBLIC_PREFIX = "whpk_";

/** The event that `callworker webhooks test` sends. */
export interface EndpointTest {
  id: string;
  type: "endpoint.test";
  timestamp: string;
  data: { account: string; endpoint: string };
}

/** The headers of a request, as `node:http`, Express, Fastify and `fetch` have them. */
export type RequestHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>;

export interface VerifyOptions {
  /** How far apart the clocks may be. */
  toleranceSeconds?: number;
  /** The time in Unix seconds, which tests may set. */
  now?: number;
}

/**
 * Return the event in a webhook, once one of `secrets` is known to have signed exactly this body, id and time.
 *
 * `body` is the body of the request as it came, before any parsing. `secrets` is the endpoint's secret (`whsec_…`), or
 * several while one replaces another. A public key (`whpk_…`) verifies `v1a` signatures. Throws InvalidSignature, whose
 * text names what is missing or wrong: answer 401. Throws ConfigurationError if a secret cannot be one, and
 * InvalidEvent if what was signed is no event. Known weakness: it does not remember ids, so a receiver that must not act
 * twice stores each `event.id`.
 */
export function verifyWebhook(
  body: string | Uint8Array, headers: RequestHeaders, secrets: string | readonly string[], options: VerifyOptions = {},
): CallEvent | EndpointTest {
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw new TypeError("body must be the bytes of the request as they came, before they are parsed");
  }
  const checks = (typeof secrets === "string" ? [secrets] : secrets).map(checkOf);
  if (checks.length === 0) throw new ConfigurationError("secrets: is empty; give the secret of the endpoint");
  const { toleranceSeconds = TOLERANCE_SECONDS, now = Date.now() / 1000 } = options;
  const { id, timestamp, signatures } = fieldsOf(headers);
  if (!/^[0-9]{1,12}$/.test(timestamp)) {
    throw new InvalidSignature("webhook-timestamp is not a whole number of seconds");
  }
  if (!(Math.abs(now - Number(timestamp)) <= toleranceSeconds)) {
    throw new InvalidSignature(`webhook-timestamp is more than ${toleranceSeconds} seconds away`);
  }
  const bytes = Buffer.from(body as string);
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), bytes]);
  const given = signatures.split(/\s+/);
  // No short way out: the time that this takes must not tell which signature or secret was the right one.
  const matches = checks.flatMap((check) => given.map((signature) => check(content, signature)));
  if (!matches.includes(true)) throw new InvalidSignature("no signature in webhook-signature matches");
  return parseEvent(bytes.toString()) as CallEvent | EndpointTest;
}

/** Tells whether one signature, as the header has it, belongs to the content. */
type Check = (content: Buffer, given: string) => boolean;

function checkOf(secret: string): Check {
  if (secret.trim().startsWith(PUBLIC_PREFIX)) return asymmetric(decoded(secret, PUBLIC_PREFIX));
  const key = decoded(secret, "whsec_");
  return (content, given) => {
    const expected = Buffer.from(`v1,${createHmac("sha256", key).update(content).digest("base64")}`);
    const found = Buffer.from(given);
    return expected.length === found.length && timingSafeEqual(expected, found);
  };
}

function asymmetric(bytes: Buffer): Check {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: bytes.toString("base64url") }, format: "jwk" });
  } catch {
    throw new ConfigurationError("secrets: whpk_… must be followed by the base64 of 32 bytes");
  }
  return (content, given) => {
    const [version, signature = ""] = given.split(",");
    return version === "v1a" && verify(null, content, key, Buffer.from(signature, "base64"));
  };
}

/** The prefix of a secret may be missing, as in other libraries of the specification. */
function decoded(secret: string, prefix: string): Buffer {
  const text = secret.trim().startsWith(prefix) ? secret.trim().slice(prefix.length) : secret.trim();
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text) || text.length % 4 !== 0) {
    throw new ConfigurationError(`secrets: a secret must be ${prefix} and base64, as callworker signs with it`);
  }
  return Buffer.from(text, "base64");
}

function fieldsOf(headers: RequestHeaders): { id: string; timestamp: string; signatures: string } {
  const pairs = Symbol.iterator in headers ? [...(headers as Iterable<readonly [string, string]>)] : Object.entries(headers);
  const lower = new Map(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  const field = (name: string): string => {
    const value = lower.get(name);
    if (value === undefined) throw new InvalidSignature(`header ${name} is missing`);
    return typeof value === "string" ? value : value.join(" ");
  };
  return { id: field("webhook-id"), timestamp: field("webhook-timestamp"), signatures: field("webhook-signature") };
}
