/**
 * Reads the addresses of brokers, in the forms and with the options that the workers read.
 *
 * Errors repeat no part of an address: it may be a password. Source: docs/reference/settings.md, "TLS".
 */

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type ConnectionOptions, rootCertificates } from "node:tls";
import { ConfigurationError } from "./errors";

export interface Address {
  kind: "redis" | "amqp";
  host: string;
  port: number;
  /** The path of a Unix socket, which then takes the place of host and port. */
  path?: string;
  username?: string;
  password?: string;
  /** The number of the database in Redis, or the virtual host of RabbitMQ. */
  database: string;
  /** How to speak TLS; absent without TLS. */
  tls?: ConnectionOptions;
  options: ReadonlyMap<string, string>;
  /** Who names the server; absent if the address does. Host and port then have no meaning. */
  sentinels?: { places: readonly Address[]; name: string };
}

const KINDS: Readonly<Record<string, { kind: Address["kind"]; port: number; secured: boolean }>> = {
  "redis:": { kind: "redis", port: 6379, secured: false },
  "rediss:": { kind: "redis", port: 6379, secured: true },
  "unix:": { kind: "redis", port: 0, secured: false },
  "redis+socket:": { kind: "redis", port: 0, secured: false },
  "amqp:": { kind: "amqp", port: 5672, secured: false },
  "pyamqp:": { kind: "amqp", port: 5672, secured: false },
  "amqps:": { kind: "amqp", port: 5671, secured: true },
};

/** RabbitMQ's own names for options. Source: its documentation, "URI Query Parameters". */
const ALIASES: Readonly<Record<string, string>> = {
  auth_mechanism: "login_method",
  cacertfile: "ssl_ca_certs",
  certfile: "ssl_certfile",
  keyfile: "ssl_keyfile",
  server_name_indication: "server_hostname",
  verify: "ssl_cert_reqs",
  virtual_host: "db",
};
const TLS = new Set([
  "ssl_ca_certs", "ssl_ca_data", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_ciphers", "ssl_keyfile",
  "ssl_password", "server_hostname",
]);
const USED = {
  redis: new Set(["db", "username", "password"]),
  amqp: new Set(["heartbeat", "login_method"]),
};
/** What only the workers' libraries know, and what `timeoutMs` decides here. */
const IGNORED = new Set([
  "client_name", "connect_timeout", "health_check_interval", "max_connections", "protocol", "socket_connect_timeout",
  "socket_keepalive", "socket_timeout",
]);
/** `redis+sentinel://user:password@host:port,host/NAME/0?options`: the user, the places, name and database, the options. */
const OF_SENTINELS = /^(rediss?)\+sentinel:\/\/(?:([^/?#]*)@)?([^/?#@]*)\/([^/?#@]+)\/?([^?#@]*)(?:\?([^#]*))?$/i;
const SENTINEL_PORT = 26379;
const UNREADABLE = "cannot be read; write signs like / # ? @ : % in user names and passwords as %2F %23 …";

/** Read one address or several, separated by `;`. `tls` is laid over the options of the addresses. */
export function addresses(url: string, tls: ConnectionOptions = {}): [Address, ...Address[]] {
  const [first, ...others] = url.split(";").map((part) => addressOf(part.trim(), tls)) as [Address, ...Address[]];
  if (others.some(({ kind }) => kind !== first.kind)) {
    throw new ConfigurationError("the broker's address: all parts must be of one kind of broker");
  }
  return [first, ...others];
}

/** Tell whether an error of a connection means that the server's certificate is not trusted. */
export function distrusted(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === "string" && /^(CERT_|DEPTH_ZERO_|ERR_TLS_CERT_|HOSTNAME_|SELF_SIGNED_|UNABLE_TO_)/.test(code);
}

function addressOf(url: string, tls: ConnectionOptions): Address {
  return /^rediss?\+sentinel:/i.test(url) ? masterOf(url, tls) : serverOf(url, tls);
}

/** Read an address that names Sentinels and a master in place of a server. */
function masterOf(url: string, tls: ConnectionOptions): Address {
  const [, scheme, user, hosts = "", name = "", database, query] = OF_SENTINELS.exec(url) ?? [];
  if (!hosts) throw wrong("does not name Sentinels and a master, as in redis+sentinel://host1,host2,host3/NAME/0");
  const options = new URLSearchParams(query);
  const own = new URLSearchParams();
  for (const option of ["username", "password"]) {
    const value = options.get(`sentinel_${option}`);
    if (value !== null) own.set(option, value);
    options.delete(`sentinel_${option}`);
  }
  const server = serverOf(`${scheme}://${user === undefined ? "" : `${user}@`}localhost/${database}?${options}`, tls);
  for (const [option, value] of options) if (TLS.has(option)) own.set(option, value);
  const places = hosts.split(",").map((place) => {
    const { port, ...found } = serverOf(`${scheme}://${place.trim()}?${own}`, tls);
    return { ...found, port: /:[0-9]+$/.test(place.trim()) ? port : SENTINEL_PORT };
  });
  return { ...server, sentinels: { places, name: decoded(name) } };
}

function serverOf(url: string, tls: ConnectionOptions): Address {
  const parts = partsOf(url);
  const found = KINDS[parts.protocol];
  if (found === undefined) {
    throw wrong("must begin with redis://, rediss://, redis+sentinel://, unix://, amqp:// or amqps://");
  }
  const options = optionsOf(parts.searchParams, found.kind, found.secured);
  const socket = found.port === 0;
  const path = decoded(socket ? parts.pathname : parts.pathname.slice(1));
  const username = decoded(parts.username) || options.get("username");
  const password = decoded(parts.password) || options.get("password");
  if (socket && (parts.hostname !== "" || path === "")) {
    throw wrong("names no socket; write unix:// and the whole path, with three slashes in all");
  }
  const host = parts.hostname.replace(/^\[|\]$/g, "") || "localhost";
  return {
    kind: found.kind,
    host,
    port: Number(parts.port) || found.port,
    database: found.kind === "amqp" ? path || "/" : databaseOf(options.get("db") ?? (socket ? "" : path)),
    options,
    ...(socket && { path }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(found.secured && { tls: { ...tlsOf(host, options), ...tls } }),
  };
}

function partsOf(url: string): URL {
  let parts: URL;
  try {
    parts = new URL(url);
  } catch {
    throw wrong(UNREADABLE);
  }
  if (parts.hash !== "") throw wrong("contains a #, after which nothing is read; write it as %23");
  if (parts.pathname.includes("@")) throw wrong(UNREADABLE);
  return parts;
}

function databaseOf(text: string): string {
  const number = text.replaceAll("/", "") || "0";
  if (!/^[0-9]{1,5}$/.test(number)) {
    throw wrong("does not end in the number of a database, as in redis://host:6379/0");
  }
  return number;
}

function optionsOf(query: URLSearchParams, kind: Address["kind"], secured: boolean): Map<string, string> {
  const options = new Map([...query].map(([name, value]) => [ALIASES[name] ?? name, value]));
  for (const name of options.keys()) {
    if (TLS.has(name) && !secured) throw wrong("has options of TLS, which only rediss:// and amqps:// can use");
    if (!TLS.has(name) && !USED[kind].has(name) && !IGNORED.has(name)) {
      throw wrong(`has an option that this client does not know; allowed are ${[...USED[kind], ...TLS].join(", ")}`);
    }
  }
  return options;
}

/** The certificate's chain and name are verified unless the address says otherwise. */
function tlsOf(host: string, options: ReadonlyMap<string, string>): ConnectionOptions {
  const level = (options.get("ssl_cert_reqs") ?? "required").toLowerCase().replace(/^(cert|verify)_/, "");
  if (!["required", "optional", "peer", "none"].includes(level)) {
    throw wrong("ssl_cert_reqs must be one of required, optional, none");
  }
  const named = !/^(0|f|false|n|no)$/i.test(options.get("ssl_check_hostname") ?? "");
  const authorities = [fileOf(options, "ssl_ca_certs"), options.get("ssl_ca_data")].filter((each) => each !== undefined);
  return {
    ...present("servername", options.get("server_hostname") ?? (isIP(host) ? undefined : host)),
    rejectUnauthorized: level !== "none",
    ...(!named && { checkServerIdentity: () => undefined }),
    ...(authorities.length > 0 && { ca: [...rootCertificates, ...authorities] as (string | Buffer)[] }),
    ...present("cert", fileOf(options, "ssl_certfile")),
    ...present("key", fileOf(options, "ssl_keyfile")),
    ...present("passphrase", options.get("ssl_password")),
    ...present("ciphers", options.get("ssl_ciphers")),
  };
}

function fileOf(options: ReadonlyMap<string, string>, name: string): Buffer | undefined {
  const path = options.get(name);
  if (path === undefined) return undefined;
  try {
    return readFileSync(path);
  } catch (error) {
    throw wrong(`${name} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function present<Name extends string, Value>(name: Name, value: Value | undefined): { [name in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { [name in Name]?: Value };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(UNREADABLE);
  }
}

function wrong(problem: string): ConfigurationError {
  return new ConfigurationError(`the broker's address ${problem}`);
}
