// Sends one job to callworker over Redis. Needs `npm ci` in this folder, once.
//
//     export REDIS_URL=redis://localhost:6379/0
//     node redis.js id=order-4712 account=acme country=1 phone=2125550123 code=4711

import { createClient } from "redis";

const job = Object.fromEntries(process.argv.slice(2).map((field) => field.split(/=(.*)/s, 2)));

const redis = createClient({ url: process.env.REDIS_URL, socket: { reconnectStrategy: false } });
await redis.connect();
await redis.xAdd("calls.intake", "*", { job: JSON.stringify(job) });
await redis.close();
