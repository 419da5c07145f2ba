/** RFC 3339 times, as the worker reads them. */

const RFC3339 =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$/;

const DAY_MINUTES = 24 * 60;
const FIRST = Date.parse("0001-01-01T00:00:00Z");
const END = Date.parse("+010000-01-01T00:00:00Z");

/** Whether the text is a time that exists in the calendar, in UTC too. A leap second may follow any second 59. */
export function isTime(spelled: string): boolean {
  const form = RFC3339.exec(spelled);
  if (form === null) return false;
  const [year, month, day, hour, minute, second] = form.slice(1, 7).map(Number) as Sextet;
  const offset = Number(form[8] ?? 0) * 60 + Number(form[9] ?? 0);
  if (hour > 23 || minute > 59 || second > 60 || offset >= DAY_MINUTES) return false;
  const midnight = new Date(0).setUTCFullYear(year, month - 1, day);
  const read = new Date(midnight);
  // Date takes 30 February for 1 or 2 March.
  if (read.getUTCMonth() !== month - 1 || read.getUTCDate() !== day) return false;
  const minutes = hour * 60 + minute - (form[7] === "-" ? -offset : offset);
  const instant = midnight + (minutes * 60 + second) * 1000;
  return year > 0 && instant >= FIRST && instant < END;
}

type Sextet = [number, number, number, number, number, number];
