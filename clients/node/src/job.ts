/**
 * The checks of a job's fields.
 *
 * The worker checks each job again, by the same rules: clients/cases/jobs.json is the table of cases that holds both,
 * and the clients in other languages, together. Source: docs/reference/job.md.
 */

import { randomUUID } from "node:crypto";
import { InvalidJob } from "./errors";
import type { Job } from "./generated";
import { isTime } from "./time";

const LANGUAGES = [
  "Chinese", "English", "French", "German", "Hebrew", "Italian",
  "Japanese", "Korean", "Polish", "Portuguese", "Russian", "Spanish",
] as const; // prettier-ignore

/** Languages that only an older page of the provider lists, in its spelling. The operator can allow them. */
const EXTENDED_LANGUAGES = ["Arabic", "Hindi", "Hungarian", "Romanian", "Ukranian", "Vietnamese"] as const;

/** The most characters of `ref`, and of `ext`. */
const MAX_NOTE = 255;
const MAX_EXTENSION = 20;
/** The most fields that one error names, those of a job first. */
const MAX_FIELDS_NAMED = 32;
/** The most digits of an unknown name that an error shows: a name with more of them may be a PIN. */
const MAX_HARMLESS_DIGITS = 2;

const ID = /^[A-Za-z0-9_:-]{1,64}$/;
const ACCOUNT = /^[A-Za-z0-9_.-]{1,64}$/;
const ACCOUNT_RULE = "must be the name of an account";
const ID_RULE = "must be 1 to 64 characters of A-Z a-z 0-9 _ : -";
const NO_FIELD = "is not a field of a job";
const TIME_RULE = "must be an RFC 3339 time with an offset, such as 2026-11-22T08:15:30Z";

/** A job as `enqueue` takes it: the fields of the contract, with a Date or a string as its time. */
export type JobInput = Omit<Job, "expires_at"> & { expires_at?: string | Date | null };

/** A job with what only the provider's older page has. Client and workers must both be set to `extended`. */
export type ExtendedJobInput = Omit<JobInput, "message"> & {
  message?: (typeof LANGUAGES)[number] | (typeof EXTENDED_LANGUAGES)[number] | null;
  /** 1 (PBX) or 2 (live operator). */
  exttype?: "1" | "2" | 1 | 2 | null;
};

/** The fields of a job as they are sent. */
export type Fields = { id: string; account: string } & Record<string, string>;

/** Returns a field as it is sent. Throws a Wrong with the rule. */
type Rule = (value: unknown, extended: boolean) => string;

class Wrong extends Error {}

/** Each field of a job with its rule, in the order in which errors name them. */
const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["id", text(ID, ID_RULE)],
  ["account", text(ACCOUNT, ACCOUNT_RULE)],
  ["country", digits(/^[1-9][0-9]{0,2}$/, "must be a country calling code of 1 to 3 digits")],
  ["phone", digits(/^[0-9]{5,15}$/, "must be 5 to 15 digits and nothing else")],
  ["code", digits(/^[1-9][0-9]{2,4}$/, "must be a number from 100 to 99999 without a leading zero")],
  ["ext", extension],
  ["exttype", extensionType],
  ["message", language],
  ["ref", note],
  ["expires_at", time],
  ["traceparent", traceContext],
  ["tracestate", traceContext],
]);

const REQUIRED = new Set(["account", "country", "phone", "code"]);

/**
 * Check a job and return its fields as they are sent, all as strings. A field that is null or undefined counts as
 * absent. A missing id is made up. Throws InvalidJob, which names each wrong field, never its value.
 */
export function checked(job: unknown, extended: boolean): Fields {
  const given = fieldsOf(job);
  const fields: [string, string][] = [];
  const errors: [string, string][] = [];
  for (const [name, rule] of RULES) {
    const value = given.get(name) ?? null;
    if (value !== null) {
      try {
        fields.push([name, rule(value, extended)]);
      } catch (error) {
        if (!(error instanceof Wrong)) throw error;
        errors.push([name, error.message]);
      }
    } else if (name === "id") {
      fields.push([name, `job_${randomUUID().replaceAll("-", "")}`]);
    } else if (REQUIRED.has(name)) {
      errors.push([name, "is required"]);
    }
  }
  errors.push(...unknown(given));
  if (errors.length > 0) {
    throw new InvalidJob("the job is not valid", Object.fromEntries(errors.slice(0, MAX_FIELDS_NAMED)));
  }
  return Object.fromEntries(fields) as Fields;
}

/** Check the jobs of a list. The error names the first wrong one by its place, and its id if that is readable. */
export function checkedAll(jobs: Iterable<unknown>, extended: boolean): Fields[] {
  return Array.from(jobs, (job, place) => {
    try {
      return checked(job, extended);
    } catch (error) {
      if (!(error instanceof InvalidJob)) throw error;
      const id = isObject(job) && typeof job.id === "string" && ID.test(job.id) ? ` (${job.id})` : "";
      throw new InvalidJob(`job ${place}${id} is not valid`, { ...error.fields });
    }
  });
}

/** Check how a job is named that is to be taken back. Throws InvalidJob. */
export function checkedName(id: unknown, account: unknown): { id: string; account?: string } {
  const wrong: Record<string, string> = {};
  if (!matches(ID, id)) wrong.id = ID_RULE;
  if (account != null && !matches(ACCOUNT, account)) wrong.account = ACCOUNT_RULE;
  if (Object.keys(wrong).length > 0) throw new InvalidJob("the cancel is not valid", wrong);
  return { id: id as string, ...(account != null && { account: account as string }) };
}

function matches(pattern: RegExp, value: unknown): boolean {
  return typeof value === "string" && pattern.test(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldsOf(job: unknown): Map<string, unknown> {
  if (!isObject(job)) {
    throw new InvalidJob("the job is not valid", { job: "must be an object with the job's fields" });
  }
  const all = Object.entries(job);
  // An object has names that are indexes of an array first, wherever they were written. Mostly that is at the end.
  return new Map([...all.filter(([name]) => !isIndex(name)), ...all.filter(([name]) => isIndex(name))]);
}

function isIndex(name: string): boolean {
  return /^(0|[1-9][0-9]{0,9})$/.test(name) && Number(name) < 2 ** 32 - 1;
}

function* unknown(given: Map<string, unknown>): Generator<[string, string]> {
  let place = 0;
  for (const [name, value] of given) {
    place += 1;
    if (value != null && !RULES.has(name)) yield [shown(name, place), NO_FIELD];
  }
}

/** The name if it could be that of a field, else its place, as "field 3": it may be a PIN or a number. */
function shown(name: string, place: number): string {
  const few = (name.match(/[0-9]/g) ?? []).length <= MAX_HARMLESS_DIGITS;
  return few && /^[A-Za-z_][A-Za-z0-9_-]{0,39}$/.test(name) ? name : `field ${place}`;
}

function text(pattern: RegExp, rule: string): Rule {
  return (value) => {
    if (!matches(pattern, value)) throw new Wrong(rule);
    return value as string;
  };
}

/** The rule of a string for which an integer counts as its digits. */
function digits(pattern: RegExp, rule: string): Rule {
  const check = text(pattern, rule);
  return (value, extended) => check(written(value), extended);
}

/**
 * An integer as its digits; any other value is returned unchanged. A number too large to be exact is left alone,
 * because its digits are no longer those that were meant.
 */
function written(value: unknown): unknown {
  return Number.isSafeInteger(value) || typeof value === "bigint" ? String(value) : value;
}

function extension(value: unknown, extended: boolean): string {
  const [pattern, signs] = extended ? [/^[0-9,]{1,20}$/, "digits and commas"] : [/^[0-9]{1,20}$/, "digits"];
  return text(pattern as RegExp, `must be 1 to ${MAX_EXTENSION} ${signs}`)(written(value), extended);
}

function extensionType(value: unknown, extended: boolean): string {
  if (!extended) throw new Wrong(NO_FIELD);
  return text(/^[12]$/, "must be 1 (PBX) or 2 (live operator)")(written(value), extended);
}

function language(value: unknown, extended: boolean): string {
  const names: readonly unknown[] = extended ? [...LANGUAGES, ...EXTENDED_LANGUAGES] : LANGUAGES;
  if (!names.includes(value)) throw new Wrong(`must be one of ${names.join(", ")}`);
  return value as string;
}

function note(value: unknown): string {
  if (typeof value !== "string" || [...value].length > MAX_NOTE || !encodable(value)) {
    throw new Wrong(`must be a string of at most ${MAX_NOTE} characters`);
  }
  return value;
}

/** Whether UTF-8 can carry the text. It cannot carry a lone surrogate. */
function encodable(value: string): boolean {
  return !/\p{Surrogate}/u.test(value);
}

function time(value: unknown): string {
  const spelled = value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : value;
  if (typeof spelled !== "string" || !isTime(spelled)) throw new Wrong(TIME_RULE);
  return spelled;
}

/** What is in the string is not judged here: by the standard, a receiver ignores a context that it cannot read. */
function traceContext(value: unknown): string {
  if (typeof value !== "string") throw new Wrong("must be a string");
  return value;
}
