// Signs and verifies webhooks with the npm package `standardwebhooks`, for test_language_receivers.py.
//
//     node check.mjs sign SECRET ID BODY           prints the request's headers as JSON
//     node check.mjs verify SECRET HEADERS BODY    exits with 0 if the package takes the request for genuine

import { Webhook } from "standardwebhooks";

const [act, secret, fact, body] = process.argv.slice(2);
const webhook = new Webhook(secret);
if (act === "sign") {
  const now = new Date();
  const headers = {
    "webhook-id": fact,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": webhook.sign(fact, now, body),
  };
  console.log(JSON.stringify(headers));
} else {
  webhook.verify(body, JSON.parse(fact));
}
