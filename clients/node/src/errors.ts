/**
 * The errors that callers of the client see.
 *
 *     CallworkerError
 *     ├── InvalidJob             the job breaks the contract; `fields` holds an error for each wrong field
 *     ├── InvalidEvent           what was received is no event
 *     ├── InvalidSignature       a webhook does not prove where it comes from
 *     ├── BrokerUnavailable      the broker did not confirm: it may have the job or not, send it again with the same id
 *     │   └── BrokerRefused      the broker answers and refuses: only an operator can change that
 *     └── ConfigurationError     an address or option is wrong, or a package is not installed
 *
 * None of them keeps the error of a library as its `cause`: those hold the command that failed, and so a PIN.
 */

/** The base class of all errors of this package. */
export class CallworkerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** The job breaks the contract. `fields` maps the name of each wrong field to its error, without any value. */
export class InvalidJob extends CallworkerError {
  readonly code = "INVALID_JOB";
  readonly fields: Readonly<Record<string, string>>;

  constructor(message: string, fields: Record<string, string>) {
    const told = Object.entries(fields).map(([name, error]) => `${name}: ${error}`);
    super(`${message}: ${told.join("; ")}`);
    this.fields = fields;
  }
}

/** What was received is no event of callworker. */
export class InvalidEvent extends CallworkerError {}

/** The webhook does not prove where it comes from. Answer 401 and ignore it. */
export class InvalidSignature extends CallworkerError {}

/** The broker cannot be reached, or did not confirm a message. It may have the message or not. */
export class BrokerUnavailable extends CallworkerError {}

/** The broker refuses: the password, a right, a certificate, or an exchange or queue with other properties. */
export class BrokerRefused extends BrokerUnavailable {}

/** An address or option is wrong, or a package is not installed. The text repeats no value. */
export class ConfigurationError extends CallworkerError {}
