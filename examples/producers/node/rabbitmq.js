// Sends one job to callworker over RabbitMQ. Needs `npm ci` in this folder, once.
//
//     export AMQP_URL=amqp://guest:guest@localhost/%2F
//     node rabbitmq.js id=order-4712 account=acme country=1 phone=2125550123 code=4711

import amqp from "amqplib";

const job = Object.fromEntries(process.argv.slice(2).map((field) => field.split(/=(.*)/s, 2)));

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();

let returned = false;
channel.on("return", () => {
  returned = true;
});
channel.publish("", "calls.intake", Buffer.from(JSON.stringify(job)), {
  contentType: "application/json",
  persistent: true,
  mandatory: true,
});
await channel.waitForConfirms();
await connection.close();
if (returned) throw new Error("RabbitMQ did not take the job");
