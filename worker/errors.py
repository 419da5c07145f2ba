"""The errors of the program, named by what happens next.

    CallError                  one attempt did not end in a ref
    ├── Retry                  the phone certainly did not ring: try again, within the account's `attempts`
    ├── Redial                 the phone may have rung: try again only as often as `redials` allows
    ├── Refused                the provider refuses this job and will not change its answer
    ├── AccountProblem         the provider refuses the account: hold it, the job waits
    └── Misconfigured          this installation is set up wrongly: do not try again, tell the operator
    SlotLapsed                 the slot of the rate limit has passed, and nothing was sent
    LeaseLost                  another worker owns the job now: do not touch it
    StoreUnavailable           Redis does not answer: dial nothing, wait
    ├── OtherLayout            its state is divided in another way: touch nothing, only an operator can change that
    ├── StoreSetBack           its state went back in time: the same, until that is made good
    └── StoreJustBack          it was away, and its state may have gone back in time: the same, for a moment
    StoreFault                 Redis answered with an error that waiting does not change: a fault of the program
    WrongKey                   a key in Redis has a wrong type: work that needs it waits, everything else goes on
    BrokerUnavailable          the broker does not accept or confirm a message: keep it, try later
    ├── BrokerBlocked          the broker is short of memory or disk space and takes no messages meanwhile
    └── BrokerRefused          the broker answers and refuses: only an operator can change that
    ConfigurationError         settings or files are wrong; `problems` holds one line for each problem
    InvalidJob                 the job breaks the contract; `fields` holds an error for each wrong field

The adapter that calls a library translates the library's exceptions into these, once, and chains them. Those that a
producer sees too are the client's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

from callworker.errors import BrokerRefused as BrokerRefused
from callworker.errors import BrokerUnavailable as BrokerUnavailable
from callworker.errors import ConfigurationError as ConfigurationError
from callworker.errors import InvalidJob as InvalidJob

Value = TypeVar("Value")


class Cause(StrEnum):
    """The reason why an HTTP request got no answer."""

    NAME = "name"
    """The host's name is not valid or was not resolved."""
    CONNECT = "connect"
    """There was no connection, or it was lost."""
    TLS = "tls"
    """The encrypted connection failed, or the certificate is not trusted."""
    TIMEOUT = "timeout"
    """The time was up, at any point of the request."""
    PROTOCOL = "protocol"
    """The answer was not valid, or was cut short."""


class CallError(Exception):
    """One attempt did not end in a ref. `code` and `message` hold no PIN, number or key, so they may be published.

    `cause` says why no answer came. It is None if one came.
    """

    cause: Cause | None = None

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Retry(CallError):
    """The phone certainly did not ring.

    `sent` says whether any byte of the request was sent. `retry_after_seconds` is the wait that the provider asks for,
    already limited, or None.
    """

    def __init__(self, message: str, *, sent: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__("PROVIDER_UNAVAILABLE", message)
        self.sent = sent
        self.retry_after_seconds = retry_after_seconds


class Redial(CallError):
    """The request was sent, and no reliable answer came: the phone may have rung."""

    def __init__(self, message: str) -> None:
        super().__init__("OUTCOME_UNKNOWN", message)


class Refused(CallError):
    """The provider refused this job, and a retry would not help. `known` is False for a code that no table lists."""

    def __init__(self, code: str, message: str, *, known: bool = True) -> None:
        super().__init__(code, message)
        self.known = known


class AccountProblem(CallError):
    """The provider refused the account (`INVALID_KEY`, `NO_POINTS`), not the job."""


class Misconfigured(CallError):
    """The provider's address or certificate is wrong, or it redirects. `sent` says whether any byte was sent."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__("PROVIDER_UNAVAILABLE", message)
        self.sent = sent


class SlotLapsed(Exception):
    """The slot passed before the first byte could be sent. The phone certainly did not ring."""


class LeaseLost(Exception):
    """The lease of the job ran out, or its fencing token is old: another worker decides about the job now."""


class StoreUnavailable(Exception):
    """Redis, the store of limits and ledger, does not answer or refuses to write."""


class OtherLayout(StoreUnavailable):
    """The state in Redis is divided in another way than this program does, so it would look in the wrong places."""


class StoreSetBack(StoreUnavailable):
    """A shard of the store, named by the prefix of its keys, went back to a state that it had before."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"the state of Redis went back in time, so nothing is done there for now ({prefix})")
        self.prefix = prefix


class StoreJustBack(StoreUnavailable):
    """A shard of the store was away for a while, and nothing is to be dialled from it for the next moment."""

    def __init__(self, prefix: str) -> None:
        super().__init__(
            f"Redis is back, and nothing is dialled before all workers have looked at its state ({prefix})"
        )


class StoreFault(Exception):
    """Redis answered with an error that waiting does not change, such as an error in one of our scripts."""


class WrongKey(Exception):
    """The key `key` in Redis has the wrong type `holds`. Nothing was changed.

    `told` says whether the log already names the key.
    """

    def __init__(self, key: str, holds: str) -> None:
        super().__init__(
            f"the key {key} in Redis holds a {holds}, which callworker did not write: rename or delete it"
        )
        self.key, self.holds = key, holds
        self.told = False


class BrokerBlocked(BrokerUnavailable):
    """The broker takes no messages, because it is short of memory or disk space."""


def every(readers: Iterable[Callable[[], Value]]) -> list[Value]:
    """Call all `readers` and return their results. Raises one ConfigurationError with the problems of all of them."""
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
