"""The errors that callers of the client see.

    CallworkerError
    ├── InvalidJob             the job breaks the contract; `fields` holds an error for each wrong field
    ├── BrokerUnavailable      the broker did not confirm; the job may have arrived: send it again with the same id
    │   └── BrokerRefused      the broker answers and refuses: only an operator can change that
    ├── InvalidSignature       a webhook does not prove where it comes from: answer 401, and ignore it
    ├── InvalidEvent           the text is no event
    └── ConfigurationError     an address or setting is wrong, or a library is not installed

The module that calls a library translates the library's exceptions into these, once, and chains them.
"""

from __future__ import annotations

from collections.abc import Mapping


class CallworkerError(Exception):
    """The base class of all errors of this package."""


class InvalidJob(CallworkerError, ValueError):
    """The job breaks the contract. `fields` maps the name of each wrong field to its error, without any value."""

    def __init__(self, code: str, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(f"{message}: " + "; ".join(f"{name}: {error}" for name, error in fields.items()))
        self.code = code
        self.message = message
        self.fields = dict(fields)

    def __reduce__(self) -> tuple[type[InvalidJob], tuple[str, str, dict[str, str]]]:
        """Let the error be pickled, as a process pool does with an error of its worker."""
        return type(self), (self.code, self.message, self.fields)


class BrokerUnavailable(CallworkerError):
    """The broker cannot be reached, or did not confirm a message."""


class BrokerRefused(BrokerUnavailable):
    """The broker refuses: the password, a right, a certificate, or an exchange or queue with other properties."""


class InvalidSignature(CallworkerError, ValueError):
    """The request does not prove that it comes from callworker. The text names what is missing or wrong."""


class InvalidEvent(CallworkerError, ValueError):
    """The text is not an event: not a JSON object with an id, a type, a time and data. The error repeats none of it."""


class ConfigurationError(CallworkerError):
    """Settings or files are wrong, or a library is not installed.

    `problems` holds one line for each problem. It names what is wrong, says what is allowed, and repeats no value.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

    def under(self, prefix: str) -> ConfigurationError:
        """Return the same problems, each with `prefix` before it."""
        return ConfigurationError(*(f"{prefix}{problem}" for problem in self.problems))
