// The same objects for `import` as for `require`, so that `instanceof` holds whichever way a module came by them.
import client from "./dist/index.js";

export const {
  BrokerRefused,
  BrokerUnavailable,
  CallworkerError,
  Client,
  ConfigurationError,
  EventStream,
  InvalidEvent,
  InvalidJob,
  InvalidSignature,
  verifyWebhook,
} = client;
