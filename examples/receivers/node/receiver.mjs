// A complete receiver of callworker's webhooks. It needs Node.js 18 and nothing else.
//
//     WEBHOOK_SECRET=whsec_… node receiver.mjs 8808
//
// It verifies each request, stores each event once as a file in the folder `events`, answers, and works on the event
// after that. While a secret is rotated, WEBHOOK_SECRET may hold both, separated by a space.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { writeFileSync } from "node:fs";
import { link, mkdir, open, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

const MAX_BODY_BYTES = 64 * 1024;
const TOLERANCE_SECONDS = 300;
const SECRETS = process.env.WEBHOOK_SECRET.split(" ").filter(Boolean);
const PORT = Number(process.argv[2] ?? 8808);
const FOLDER = process.argv[3] ?? "events";
const NUMBER = join(FOLDER, "highest-sequence");

/** Does what your program does with an event. After a crash this may be called again for the same event. */
async function work(event) {
  console.log(JSON.stringify(event, null, 2));
}

/** Whether one of the secrets signed this body, id and time, no more than five minutes from now. */
function isGenuine(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sent = headers["webhook-timestamp"] ?? "";
  if (!/^[\w.-]{1,100}$/.test(id) || !/^\d{1,12}$/.test(sent)) return false;
  if (Math.abs(Date.now() / 1000 - Number(sent)) > TOLERANCE_SECONDS) return false;
  const expected = SECRETS.map((secret) => signature(secret, id, sent, body));
  const given = (headers["webhook-signature"] ?? "").split(" ").map((text) => Buffer.from(text));
  return given.some((one) => expected.some((other) => one.length === other.length && timingSafeEqual(one, other)));
}

function signature(secret, id, sent, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${id}.${sent}.`).update(body);
  return Buffer.from(`v1,${mac.digest("base64")}`);
}

/** Stores an event on disk. Returns false if it is there already: `link` refuses a name that exists. */
async function store(id, body) {
  const draft = join(FOLDER, `${randomUUID()}.draft`);
  const file = await open(draft, "wx");
  try {
    await file.writeFile(body);
    await file.sync();
    await link(draft, join(FOLDER, `${id}.json`));
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    await file.close();
    await rm(draft);
  }
}

/** Works on a stored event. One that fails is tried again after the next start. */
async function workOn(id) {
  try {
    await work(JSON.parse(await readFile(join(FOLDER, `${id}.json`), "utf8")));
    await writeFile(join(FOLDER, `${id}.done`), "");
  } catch (error) {
    console.error(error);
  }
}

/** Tells of numbers that are missing. Deliveries overtake each other, so a number may still come. */
function noteSequence(text) {
  if (!/^\d{1,15}$/.test(text ?? "")) return;
  const sequence = Number(text);
  if (highest !== undefined && sequence > highest + 1) {
    console.log(`missing so far: ${highest + 1} to ${sequence - 1}`);
  }
  if (highest === undefined || sequence > highest) {
    highest = sequence;
    writeFileSync(NUMBER, String(highest));
  }
}

/** The body, or undefined if it is too large. */
async function limitedBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return length > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks);
}

/** The status to answer with: 204 to a genuine event, repeats included. */
async function receive(request) {
  if (request.method !== "POST") return 405;
  if (Number(request.headers["content-length"]) > MAX_BODY_BYTES) return 413;
  const body = await limitedBody(request);
  if (body === undefined) return 413;
  if (!isGenuine(request.headers, body)) {
    console.log("refused: the signature is wrong, old or missing");
    return 401;
  }
  const id = request.headers["webhook-id"];
  if (await store(id, body)) {
    noteSequence(request.headers["callworker-sequence"]);
    setImmediate(workOn, id);
  }
  return 204;
}

const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
  const status = await receive(request).catch((error) => (console.error(error), 500));
  const rest = status === 413 ? { connection: "close" } : {};
  response.writeHead(status, rest).end();
});

await mkdir(FOLDER, { recursive: true });
let highest = await readFile(NUMBER, "utf8").then(Number, () => undefined);
const names = new Set(await readdir(FOLDER));
for (const name of names) {
  const id = name.slice(0, -".json".length);
  if (name.endsWith(".json") && !names.has(`${id}.done`)) await workOn(id);
}
server.listen(PORT, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
