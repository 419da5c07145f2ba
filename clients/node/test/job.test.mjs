// What the table of cases cannot say: values that only JavaScript has, and what errors tell.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { inspect } from "node:util";
import { InvalidJob } from "callworker-client";

const require = createRequire(import.meta.url);
const { checked, checkedAll, checkedName } = require("../dist/job.js");
const { verifyMessage, cancelMessage, envelope, queueOf } = require("../dist/message.js");

const JOB = { id: "job-1", account: "acme", country: "1", phone: "2125550123", code: "4711" };

test("a Date is sent as its time, undefined is absent, and a bigint is its digits", () => {
  const given = { ...JOB, expires_at: new Date(Date.UTC(2026, 10, 22, 8, 15, 30, 5)), ref: undefined, ext: 99999999999999999999n };
  const sent = { ...JOB, ext: "99999999999999999999", expires_at: "2026-11-22T08:15:30.005Z" };
  assert.deepEqual(checked(given, false), sent);
});

test("an integer that a double cannot hold is refused: its digits are not those that were meant", () => {
  assert.throws(() => checked({ ...JOB, ext: 2 ** 53 + 2 }, false), /ext: must be 1 to 20 digits/);
});

for (const value of [new Date(NaN), new Date(8.64e15), 1e9, "2026-11-22"]) {
  test(`expires_at cannot be ${value}`, () => {
    assert.throws(() => checked({ ...JOB, expires_at: value }, false), /expires_at: must be an RFC 3339 time/);
  });
}

for (const value of [null, undefined, [], "job", 1, new Map(Object.entries(JOB))]) {
  test(`${inspect(value)} is no job`, () => {
    assert.throws(() => checked(value, false), InvalidJob);
  });
}

test("a field named __proto__ or constructor is a field like others", () => {
  const given = JSON.parse(`{"__proto__": {"phone": "2125550123"}, "constructor": 1, "account": "acme", "country": "1", "code": "4711"}`);
  assert.throws(() => checked(given, false), ({ fields }) => {
    assert.deepEqual(Object.entries(fields).map(([name]) => name), ["phone", "__proto__", "constructor"]);
    return true;
  });
});

test("a made-up id is a new one each time", () => {
  const { id: _, ...rest } = JOB;
  const ids = [checked(rest, false).id, checked({ ...rest, id: null }, false).id];
  assert.notEqual(ids[0], ids[1]);
  for (const id of ids) assert.match(id, /^job_[0-9a-f]{32}$/);
});

test("the error of a list names the place and the id of the first wrong job, and no value", () => {
  const wrong = { ...JOB, id: "job-2", phone: "+12125550199", code: "0815" };
  assert.throws(() => checkedAll([JOB, wrong, {}], false), (error) => {
    assert.match(error.message, /^job 1 \(job-2\) is not valid: phone: must be .*; code: must be /);
    assert.doesNotMatch(inspect(error), /2125550199|0815/);
    return true;
  });
});

test("phone and PIN are in the body alone", () => {
  const message = verifyMessage({ ...JOB, traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "x=1" });
  assert.equal(message.queue, "calls.14");
  assert.deepEqual(JSON.parse(message.body), [[], JOB, {}]);
  assert.doesNotMatch(JSON.stringify(message.headers), /2125550123|4711/);
  assert.equal(message.headers.traceparent, `00-${"a".repeat(32)}-${"b".repeat(16)}-01`);
  assert.equal(message.headers.tracestate, "x=1");
  const { body, properties } = JSON.parse(envelope(message));
  assert.equal(Buffer.from(body, "base64").toString(), message.body);
  assert.equal(properties.correlation_id, "job-1");
});

test("a trace context that is malformed is not sent", () => {
  const message = verifyMessage({ ...JOB, traceparent: "4711", tracestate: "\n" });
  assert.deepEqual(JSON.parse(message.body), [[], JOB, {}]);
  assert.ok(!("traceparent" in message.headers) && !("tracestate" in message.headers));
});

test("what is taken back has an id, and an account or none", () => {
  assert.deepEqual(checkedName("job-1", undefined), { id: "job-1" });
  assert.deepEqual(checkedName("job-1", "acme"), { id: "job-1", account: "acme" });
  for (const [id, account] of [[undefined], [""], ["a b"], ["job-1", 7], ["job-1", "é"]]) {
    assert.throws(() => checkedName(id, account), InvalidJob);
  }
});

test("a job is taken back in the queue of its account, or in that of all", () => {
  assert.equal(cancelMessage({ id: "job-1", account: "acme" }).queue, queueOf("acme"));
  const { queue, body, headers } = cancelMessage({ id: "job-1" });
  assert.deepEqual([queue, headers.task, JSON.parse(body)], ["calls", "calls.cancel", [[], { id: "job-1" }, {}]]);
});
