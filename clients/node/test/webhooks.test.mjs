// Signatures of webhooks. tests/contract/test_node_client.py has the worker and others sign.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import { ConfigurationError, InvalidEvent, InvalidSignature, verifyWebhook } from "callworker-client";

const NOW = 1_774_000_000;
const SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const OTHER = "whsec_NzY1NDMyMTBmZWRjYmE5ODc2NTQzMjEw";
const EVENT = { id: "evt_1", type: "call.placed", timestamp: "2026-11-22T17:18:46.331Z", data: { note: "Grüße" } };
const BODY = Buffer.from(JSON.stringify(EVENT));

function signature(secret, body = BODY, sent = NOW) {
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  return `v1,${createHmac("sha256", key).update(`evt_1.${sent}.`).update(body).digest("base64")}`;
}

function headers(more = {}) {
  return { "webhook-id": "evt_1", "webhook-timestamp": String(NOW), "webhook-signature": signature(SECRET), ...more };
}

const verified = (given, body = BODY, secrets = SECRET) => verifyWebhook(body, given, secrets, { now: NOW });

for (const [form, given] of Object.entries({
  "an object": headers(),
  "an object with capitals": Object.fromEntries(Object.entries(headers()).map(([name, value]) => [name.toUpperCase(), value])),
  Headers: new Headers(headers()),
  "a Map": new Map(Object.entries(headers())),
  "an object of lists": Object.fromEntries(Object.entries(headers()).map(([name, value]) => [name, [value]])),
})) {
  test(`headers may be ${form}`, () => assert.deepEqual(verified(given), EVENT));
}

test("the body may be a string or any bytes", () => {
  for (const body of [BODY.toString(), new Uint8Array(BODY)]) assert.deepEqual(verified(headers(), body), EVENT);
  assert.throws(() => verified(headers(), EVENT), TypeError);
});

test("while a secret is rotated, either signature and either secret will do", () => {
  const both = { "webhook-signature": `v1,AAAA ${signature(OTHER)} v2,x` };
  assert.deepEqual(verified(headers(both), BODY, [SECRET, OTHER]), EVENT);
  assert.deepEqual(verified(headers(), BODY, [OTHER, SECRET.slice("whsec_".length)]), EVENT);
});

test("a public key verifies v1a", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = `whpk_${Buffer.from(publicKey.export({ format: "jwk" }).x, "base64url").toString("base64")}`;
  const made = sign(null, Buffer.concat([Buffer.from(`evt_1.${NOW}.`), BODY]), privateKey).toString("base64");
  assert.deepEqual(verified(headers({ "webhook-signature": `v1,AAAA v1a,${made}` }), BODY, key), EVENT);
  for (const wrong of [`v1,${made}`, "v1a,", `v1a,${made.slice(4)}`, signature(SECRET)]) {
    assert.throws(() => verified(headers({ "webhook-signature": wrong }), BODY, key), InvalidSignature);
  }
});

const FORGED = {
  "another body": [headers(), Buffer.concat([BODY, Buffer.from(" ")])],
  "another secret": [headers({ "webhook-signature": signature(OTHER) })],
  "another id": [headers({ "webhook-id": "evt_2" })],
  "an old time": [headers({ "webhook-timestamp": String(NOW - 301), "webhook-signature": signature(SECRET, BODY, NOW - 301) })],
  "an early time": [headers({ "webhook-timestamp": String(NOW + 301), "webhook-signature": signature(SECRET, BODY, NOW + 301) })],
  "a time in another form": [headers({ "webhook-timestamp": "1e9" })],
  "no time": [headers({ "webhook-timestamp": undefined })],
  "an empty time": [headers({ "webhook-timestamp": "" })],
  "no signature": [headers({ "webhook-signature": undefined })],
  "an empty signature": [headers({ "webhook-signature": "" })],
  "no id": [headers({ "webhook-id": undefined })],
  "another version": [headers({ "webhook-signature": signature(SECRET).replace("v1,", "v2,") })],
  "a shorter signature": [headers({ "webhook-signature": signature(SECRET).slice(0, -4) })],
};
for (const [what, [given, body]] of Object.entries(FORGED)) {
  test(`${what} is refused`, () => assert.throws(() => verified(given, body), InvalidSignature));
}

test("the clocks may differ as far as the tolerance allows", () => {
  const late = { now: NOW + 600 };
  assert.throws(() => verifyWebhook(BODY, headers(), SECRET, late), /more than 300 seconds away/);
  assert.deepEqual(verifyWebhook(BODY, headers(), SECRET, { ...late, toleranceSeconds: 600 }), EVENT);
});

for (const secrets of ["", "whsec_", "whsec_%%%", "whpk_AAAA", []]) {
  test(`${JSON.stringify(secrets)} is no secret`, () => {
    assert.throws(() => verified(headers(), BODY, secrets), ConfigurationError);
  });
}

test("what was signed and is no event is told from a forgery", () => {
  const body = Buffer.from("{}");
  assert.throws(() => verified(headers({ "webhook-signature": signature(SECRET, body) }), body), InvalidEvent);
});
