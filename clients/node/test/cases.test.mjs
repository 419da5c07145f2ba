// The table of cases that every client and the worker run, each case as a test of its name.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { InvalidJob } from "callworker-client";

const { checked } = createRequire(import.meta.url)("../dist/job.js");
const table = process.env.CASES ?? new URL("../../cases/jobs.json", import.meta.url);

for (const { name, job, extended, valid, sent, fields, exact_numbers } of JSON.parse(readFileSync(table, "utf8"))) {
  const skip = exact_numbers && "numbers in JavaScript are doubles";
  test(name, { skip }, () => {
    if (valid) {
      assert.deepEqual(checked(job, extended), sent);
    } else {
      assert.throws(() => checked(job, extended), (error) => {
        assert.ok(error instanceof InvalidJob);
        assert.deepEqual({ ...error.fields }, fields);
        return true;
      });
    }
  });
}
