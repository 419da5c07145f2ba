"""What can go wrong, named by what happens next.

    CallError                  one attempt did not end in a ref
    ├── Retry                  the phone certainly did not ring: try again, within the account's `attempts`
    ├── Redial                 the phone may have rung: try again only as `redials` allows
    ├── Refused                the provider's last word on this job
    ├── AccountProblem         the account's fault: hold the account, the job waits
    └── Misconfigured          this installation's fault: never try again, tell the operator
    SlotLapsed                 nothing was sent: the slot under the rate limit went by first
    LeaseLost                  another worker owns the job by now: touch nothing
    StoreUnavailable           Redis does not answer: dial nothing, wait
    StoreFault                 Redis answered with an error that is the same tomorrow: a fault of ours
    WrongKey                   a key in Redis is not of our type: what needs it waits, all else goes on
    BrokerUnavailable          the broker does not take or confirm a message: keep it, try later
    └── BrokerRefused          it answers, and says no: only an operator can change that
    ConfigurationError         settings or files are wrong; `problems` holds one line for each
    InvalidJob                 the job breaks the contract; `fields` says where

Every library's exception becomes one of these once, at the adapter that called the library, and is chained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

Value = TypeVar("Value")


class Cause(StrEnum):
    """Why a request over HTTP came to nothing."""

    NAME = "name"
    """The host's name was not resolved, or is none."""
    CONNECT = "connect"
    """No connection, or it was lost."""
    TLS = "tls"
    """No encrypted connection, or no trust in the certificate."""
    TIMEOUT = "timeout"
    """Too late, at whatever point."""
    PROTOCOL = "protocol"
    """What came is no answer, or was cut short."""


class CallError(Exception):
    """One attempt did not end in a ref. `code` and `message` are safe to publish: no PIN, no number, no key.

    `cause` says why no answer came, where none came.
    """

    cause: Cause | None = None

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Retry(CallError):
    """The phone certainly did not ring.

    `sent` says whether any byte of the request left; `retry_after_seconds` is the provider's wish, already
    clamped, or None.
    """

    def __init__(self, message: str, *, sent: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__("PROVIDER_UNAVAILABLE", message)
        self.sent = sent
        self.retry_after_seconds = retry_after_seconds


class Redial(CallError):
    """The request was sent and no answer can be trusted: the phone may have rung."""

    def __init__(self, message: str) -> None:
        super().__init__("OUTCOME_UNKNOWN", message)


class Refused(CallError):
    """The provider refused this job for good. `known` is False for a code that no table lists."""

    def __init__(self, code: str, message: str, *, known: bool = True) -> None:
        super().__init__(code, message)
        self.known = known


class AccountProblem(CallError):
    """The provider refused the account (`INVALID_KEY`, `NO_POINTS`), not the job."""


class Misconfigured(CallError):
    """The provider's address or certificate is wrong, or it redirects. `sent`: a byte of the request left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__("PROVIDER_UNAVAILABLE", message)
        self.sent = sent


class SlotLapsed(Exception):
    """The slot went by before the first byte could leave; the phone certainly did not ring."""


class LeaseLost(Exception):
    """The job's lease ran out or its fencing token is old: another worker decides about the job now."""


class StoreUnavailable(Exception):
    """Redis, the store of limits and ledger, does not answer or refuses to write."""


class StoreFault(Exception):
    """Redis answered with an error that waiting does not change, such as one in a script of ours."""


class WrongKey(Exception):
    """The key `key` in Redis holds a value of type `holds`, which is not ours. Nothing was changed.

    `told`: its name is in the log.
    """

    def __init__(self, key: str, holds: str) -> None:
        super().__init__(
            f"the key {key} in Redis holds a {holds}, which is not callworker's: put it right or delete it"
        )
        self.key, self.holds = key, holds
        self.told = False


class BrokerUnavailable(Exception):
    """The broker is away, or did not confirm a message."""


class BrokerRefused(BrokerUnavailable):
    """The broker answers, and refuses: a password, a right, a certificate; an exchange or queue is not as needed."""


class ConfigurationError(Exception):
    """Settings, the accounts file or other files of the operator are wrong.

    `problems` holds one line for each wrong thing: it names the thing, says what is allowed, and repeats no value.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def under(self, prefix: str) -> ConfigurationError:
        """The same problems, each with `prefix` in front."""
        return ConfigurationError(*(f"{prefix}{problem}" for problem in self.problems))


def every(readers: Iterable[Callable[[], Value]]) -> list[Value]:
    """What each of `readers` returns. Raises one ConfigurationError with the problems of all that raised one."""
    values: list[Value] = []
    problems: list[str] = []
    for read in readers:
        try:
            values.append(read())
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)
    return values


class InvalidJob(ValueError):
    """The job breaks the contract. `fields` maps each field's name to its error; values are never in it."""

    def __init__(self, code: str, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(f"{message}: " + "; ".join(f"{name}: {error}" for name, error in fields.items()))
        self.code = code
        self.message = message
        self.fields = dict(fields)
