export { Client, type ClientOptions } from "./client";
export {
  BrokerRefused, BrokerUnavailable, CallworkerError, ConfigurationError, InvalidEvent, InvalidJob, InvalidSignature,
} from "./errors";
export { type CallTypes, type EventOptions, EventStream } from "./events";
export type * from "./generated";
export type { ExtendedJobInput, JobInput } from "./job";
export { type EndpointTest, type RequestHeaders, verifyWebhook, type VerifyOptions } from "./webhooks";
