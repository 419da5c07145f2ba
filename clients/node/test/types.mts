// Compiled and never run: what TypeScript knows of the package, when it is imported.

import { type CallEvent, Client, type InvalidJob, type JobInput, verifyWebhook } from "callworker-client";

const client = new Client("redis://localhost", { timeoutMs: 1000, driver: "redis" });
const job: JobInput = { account: "acme", country: 1, phone: "2125550123", code: "4711", expires_at: new Date() };
const id: string = await client.enqueue(job);
const ids: string[] = await client.enqueueMany([job, { ...job, message: "Arabic", exttype: 1 }]);
await client.cancel(id, { account: "acme" });

// @ts-expect-error: the PIN is missing
await client.enqueue({ account: "acme", country: "1", phone: "2125550123" });
// @ts-expect-error: there is no such field
await client.enqueue({ ...job, colour: "red" });

for await (const event of client.events({ types: ["call.placed", "call.failed"] })) {
  const told: CallEvent = event;
  if (event.type === "call.placed") event.data.ref.length;
  // @ts-expect-error: a call that failed has no ref
  if (event.type === "call.failed") event.data.ref.length;
  if (told.type === "call.rejected") ids.push(...Object.keys(told.data.error.fields));
}
for await (const event of client.events({ types: "#", queue: "orders.results" })) {
  if (event.type === "endpoint.disabled") event.data.reason.length;
}
const event = verifyWebhook(new Uint8Array(), new Headers(), ["whsec_"]);
if (event.type === "endpoint.test") event.data.endpoint.length;
export const wrong = (error: InvalidJob): string[] => Object.values(error.fields);
