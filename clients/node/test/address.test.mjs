// How addresses of brokers are read.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { Client, ConfigurationError } from "callworker-client";

const { addresses } = createRequire(import.meta.url)("../dist/address.js");

const READ = {
  "redis://": { kind: "redis", host: "localhost", port: 6379, database: "0" },
  "redis://shop:p%40ss%2Fw%3Ard@redis.example:6380/3": {
    kind: "redis", host: "redis.example", port: 6380, database: "3", username: "shop", password: "p@ss/w:rd",
  },
  "redis://:secret@[::1]": { kind: "redis", host: "::1", port: 6379, database: "0", password: "secret" },
  "redis://localhost/?db=2&socket_timeout=1": { kind: "redis", host: "localhost", port: 6379, database: "2" },
  "unix:///run/redis.sock?db=1": { kind: "redis", host: "localhost", port: 0, path: "/run/redis.sock", database: "1" },
  "redis+socket:///run/redis.sock?virtual_host=1": {
    kind: "redis", host: "localhost", port: 0, path: "/run/redis.sock", database: "1",
  },
  "amqp://": { kind: "amqp", host: "localhost", port: 5672, database: "/" },
  "amqp://user:word@rabbit.example//": {
    kind: "amqp", host: "rabbit.example", port: 5672, database: "/", username: "user", password: "word",
  },
  "amqp://rabbit.example/%2F": { kind: "amqp", host: "rabbit.example", port: 5672, database: "/" },
  "pyamqp://rabbit.example/calls?heartbeat=10": { kind: "amqp", host: "rabbit.example", port: 5672, database: "calls" },
};

for (const [url, expected] of Object.entries(READ)) {
  test(`${url} is read`, () => {
    const [{ options: _, ...found }] = addresses(url);
    assert.deepEqual(found, expected);
  });
}

test("several addresses are read in turn", () => {
  assert.deepEqual(addresses("amqp://a:1/; amqp://b").map(({ host }) => host), ["a", "b"]);
});

test("certificate and name are verified unless the address says otherwise", () => {
  const tls = (url) => addresses(url)[0].tls;
  assert.deepEqual(tls("rediss://redis.example"), { servername: "redis.example", rejectUnauthorized: true });
  assert.equal(tls("amqps://rabbit.example?verify=verify_none").rejectUnauthorized, false);
  assert.equal(tls("rediss://redis.example?ssl_check_hostname=false").checkServerIdentity(), undefined);
  assert.equal(addresses("rediss://redis.example", { servername: "other" })[0].tls.servername, "other");
  assert.deepEqual(tls("rediss://127.0.0.1"), { rejectUnauthorized: true });
  assert.equal(tls("redis://redis.example"), undefined);
});

test("Sentinels are read, each with its own place", () => {
  const url = "redis+sentinel://shop:w%40rd@s1.example:26380,s2.example,[::1]/calls/3?sentinel_password=other";
  const [{ kind, database, username, password, sentinels }] = addresses(url);
  assert.deepEqual({ kind, database, username, password }, { kind: "redis", database: "3", username: "shop", password: "w@rd" });
  assert.equal(sentinels.name, "calls");
  assert.deepEqual(
    sentinels.places.map((each) => [each.host, each.port, each.username, each.password]),
    [["s1.example", 26380, undefined, "other"], ["s2.example", 26379, undefined, "other"], ["::1", 26379, undefined, "other"]],
  );
  assert.equal(addresses("rediss+sentinel://s1/calls")[0].tls.rejectUnauthorized, true);
});

const SECRET = "Zu4-geheim";
const REFUSED = [
  `redis+sentinel://:${SECRET}@s1,s2`, `redis+sentinel://:${SECRET}@/calls`, `redis+sentinel://:${SECRET}#x@s1/calls`,
  `redis+sentinel://s1/calls/${SECRET}`, `redis+sentinel://s1:${SECRET}/calls`, `redis+sentinel://s1/calls?${SECRET}=1`,
  `http://${SECRET}`, `${SECRET}`, `redis://:${SECRET}#x@host`, `redis://:a/${SECRET}@host`, `redis://:%zz${SECRET}@host`,
  `redis://host/${SECRET}`, `redis://host/0?${SECRET}=1`, `redis://host?ssl_cert_reqs=${SECRET}`, "unix://", "unix://host/path",
  `rediss://host?ssl_cert_reqs=${SECRET}`, `rediss://host?ssl_ca_certs=/no/such/${SECRET}`, `amqp://host;redis://:${SECRET}@host`,
];
for (const url of REFUSED) {
  test(`${url} is refused, and the error repeats no part of it`, () => {
    assert.throws(() => addresses(url), (error) => {
      assert.ok(error instanceof ConfigurationError);
      assert.ok(!error.stack.includes(SECRET));
      return true;
    });
  });
}

test("options that cannot be meant are refused", () => {
  for (const options of [{ timeoutMs: 0 }, { timeoutMs: NaN }, { timeoutMs: 2 ** 31 }, { driver: "predis" }]) {
    assert.throws(() => new Client("redis://localhost", options), ConfigurationError);
  }
});

test("a client without an address says which variables it looks at", () => {
  const { BROKER_URL, REDIS_URL } = process.env;
  delete process.env.BROKER_URL;
  delete process.env.REDIS_URL;
  try {
    assert.throws(() => new Client(), /BROKER_URL or REDIS_URL/);
    process.env.BROKER_URL = "http://localhost";
    assert.throws(() => new Client(), /must begin with redis:/);
  } finally {
    for (const [name, value] of Object.entries({ BROKER_URL, REDIS_URL })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
