"""Every setting of the program, read from the environment: the one place with names and defaults.

Source: docs/reference/contract.md, "Settings". docs/reference/settings.md is written from here (`make reference`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from worker.configuration import addresses, waits
from worker.configuration.values import (
    AnswerFormat,
    Count,
    LogFormat,
    LogLevel,
    Operator,
    Port,
    QueueType,
    Schedule,
    Seconds,
    Shards,
    Switch,
    TracingMode,
    whole,
)
from worker.errors import ConfigurationError

CONFIG_FOLDERS = (Path("config"), Path(__file__).parent / "config", Path(__file__).parent.parent / "config")
"""The folders that may hold a shipped file: in the working directory, in the installed package, in a checkout."""

DEFAULT_ACCOUNTS_FILE = CONFIG_FOLDERS[0] / "accounts.toml"
"""Only in the working directory: the accounts that come with the package are examples."""


def config_file(name: str) -> Path:
    """Find `name` in the first of `CONFIG_FOLDERS` that has it. Returns `config/NAME` if none has."""
    candidates = [folder / name for folder in CONFIG_FOLDERS]
    return next((path for path in candidates if path.is_file()), candidates[0])


def example_accounts() -> Path:
    """The accounts file that comes with the program. The demo uses it, and an operator may copy it."""
    candidates = [folder / "accounts.toml" for folder in CONFIG_FOLDERS[1:]]
    return next((path for path in candidates if path.is_file()), candidates[0])


class Settings(BaseModel):
    """The settings of the program. The alias of a field is its environment variable."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    broker_url: Annotated[str, AfterValidator(addresses.broker_url)] | None = Field(
        None,
        alias="BROKER_URL",
        description="The broker of jobs and events. Unset: the server of `REDIS_URL`.",
    )
    amqp_queue_type: QueueType | None = Field(
        None,
        alias="AMQP_QUEUE_TYPE",
        description="Type of the queues on RabbitMQ. Unset: the virtual host's default.",
    )
    redis_url: Annotated[str, AfterValidator(addresses.redis_url)] | None = Field(
        None,
        alias="REDIS_URL",
        description="The Redis, or Redis Cluster, with limits, ledger, lanes and outbox. Unset: an embedded server.",
    )
    redis_replicas: Annotated[int, whole(0, 5)] = Field(
        0,
        alias="REDIS_REPLICAS",
        description="How many replicas must have a write before anything follows from it: a call, an acknowledgement, "
        "an event. It counts for `REDIS_URL`, and for `BROKER_URL` if that is a Redis. With Sentinels, a master is "
        "used only while most of those in the address name it.",
    )
    redis_shards: Shards = Field(
        16,
        alias="REDIS_SHARDS",
        description="Into how many shards the state is divided: 16 or 64. It counts for a new installation; a worker "
        "with another number than that of its Redis does not start. 64 is for clusters that may grow beyond eight "
        "servers.",
    )
    state_dir: Path | None = Field(
        None,
        alias="CALLWORKER_STATE_DIR",
        description="Folder for the embedded server's data and socket. Unset: `$XDG_STATE_HOME/callworker`, else "
        "`~/.local/state/callworker`.",
    )
    proxstop_url: Annotated[str, AfterValidator(addresses.provider_url)] = Field(
        "https://api.proxstop.com", alias="PROXSTOP_URL", description="Address of the provider."
    )
    proxstop_format: AnswerFormat = Field(
        "xml",
        alias="PROXSTOP_FORMAT",
        description="The format that the provider is asked for. Both are always understood.",
    )
    proxstop_timeout: Seconds = Field(
        15.0,
        alias="PROXSTOP_TIMEOUT",
        description="Seconds for one request, from its first byte to the last byte of the answer. Connecting has the "
        "same time before that, but at most 5 s.",
    )
    proxstop_extended: Switch = Field(
        "off",
        alias="PROXSTOP_EXTENDED",
        description="`on` also accepts the fields and languages of the provider's older page.",
    )
    proxstop_keepalive: Switch = Field(
        "on",
        alias="PROXSTOP_KEEPALIVE",
        description="`off` gives each call its own connection, which costs a handshake.",
    )
    proxstop_ca_file: Path | None = Field(
        None,
        alias="PROXSTOP_CA_FILE",
        description="PEM file with certificates of a private authority. They are trusted for the provider, together "
        "with the public ones.",
    )
    webhook_contact: Annotated[str, AfterValidator(addresses.contact)] | None = Field(
        None,
        alias="WEBHOOK_CONTACT",
        description="Mail address or URL at which subscribers reach you. Webhooks carry it in `user-agent`.",
    )
    webhook_proxy: Annotated[str, AfterValidator(addresses.proxy_url)] | None = Field(
        None,
        alias="WEBHOOK_PROXY",
        description="Proxy that connects to the receivers of webhooks, asked with CONNECT. Write `/ ? # @ :` in user "
        "name and password as `%2F %3F %23 %40 %3A`.",
    )
    accounts_file: Path = Field(
        DEFAULT_ACCOUNTS_FILE,
        alias="ACCOUNTS_FILE",
        description="The accounts file. Running workers use a changed one; a new path needs a restart.",
    )
    provider_errors_file: Path = Field(
        default_factory=lambda: config_file("provider_errors.toml"),
        alias="PROVIDER_ERRORS_FILE",
        description="Table of the provider's error codes: what each means for the job.",
    )
    metrics_host: Annotated[str, AfterValidator(addresses.host)] = Field(
        "127.0.0.1",
        alias="METRICS_HOST",
        description="Address that serves `/metrics`, `/livez` and `/readyz`.",
    )
    metrics_port: Port = Field(
        9808,
        alias="METRICS_PORT",
        description="Port of `/metrics`, `/livez` and `/readyz`. Each worker on a machine needs its own.",
    )
    metrics_accounts: Annotated[int, whole(1, 100_000)] = Field(
        200,
        alias="METRICS_ACCOUNTS",
        description="How many accounts have metrics of their own. Those that are used later count together as `other`, "
        "except that as many again have their names while they are in need.",
    )
    tracing: TracingMode = Field(
        "off",
        alias="TRACING",
        description="`parent`: the spans of a job are part of its producer's trace. `links`: each job has a trace "
        "of its own, with a link to its producer's. Both need `callworker[otel]`, and the variables `OTEL_…` say where "
        "spans go. `off`: no spans.",
    )
    log_level: LogLevel = Field("INFO", alias="LOG_LEVEL", description="The lowest level that is logged.")
    log_format: LogFormat = Field(
        "json",
        alias="LOG_FORMAT",
        description="`json`: one object per line. `console`: coloured lines for people. Both go to standard error.",
    )
    concurrency: Count = Field(
        50,
        alias="CONCURRENCY",
        description="The most calls in flight in this process. Each may need an open file; the worker does not start "
        "if the limit (`ulimit -n`) is too low.",
    )
    grace_seconds: Seconds = Field(
        30.0,
        alias="SHUTDOWN_GRACE",
        description="Seconds that a worker waits for its calls in flight after it was told to stop.",
    )
    results_backlog: Annotated[int, whole(1, 100_000_000)] = Field(
        100_000,
        alias="RESULTS_BACKLOG",
        description="The most events that may wait for a confirmation of the results queue. Above it no worker dials "
        "until half of them are confirmed.",
    )
    webhooks_in_flight: Annotated[int, whole(1, 65536)] = Field(
        2048,
        alias="WEBHOOKS_IN_FLIGHT",
        description="The most webhook deliveries in flight in this process. Each may need an open file; if the limit "
        "(`ulimit -n`) is too low, there are as many as fit.",
    )
    webhook_schedule: Schedule = Field(
        "5s 5m 30m 2h 5h 10h 14h 20h 24h",
        alias="WEBHOOK_SCHEDULE",
        description="The waits between the attempts at a webhook delivery, each up to a fifth longer. After the "
        "attempt that follows the last wait, the delivery is given up.",
    )
    retention_seconds: Annotated[int, whole(3600, 366 * 86400)] = Field(
        7 * 86400,
        alias="LEDGER_RETENTION",
        description="Seconds for which the id of an ended job and how it ended are remembered. The default is 7 days.",
    )
    replay_seconds: Annotated[int, whole(3600, 366 * 86400)] = Field(
        2 * 86400,
        alias="WEBHOOK_REPLAY",
        description="Seconds after the end of a job for which its event can be sent again to a webhook that has taken "
        "it, but not longer than `LEDGER_RETENTION`. The default is 2 days. Events that were given up are kept for 7 "
        "days in any case.",
    )

    operator: Operator | None = Field(
        None,
        alias="CALLWORKER_OPERATOR",
        description="Name of the person for the audit trail. Unset: the user who ran `sudo`, else the user of the "
        "command.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings. Raises ConfigurationError with a line for each wrong variable: the fault and the rule.

        An empty value counts as absent, and the case of words does not matter. No line repeats a value.
        """
        settings, problems = cls.valid_part(environ)
        if problems:
            raise ConfigurationError(*problems.values())
        return settings

    @classmethod
    def valid_part(cls, environ: Mapping[str, str] = os.environ) -> tuple[Self, dict[str, str]]:
        """Read the settings, with the default for each wrong value, and a line for each wrong variable by name."""
        values = {name: environ[name].strip() for name in cls.variables() if environ.get(name, "").strip()}
        try:
            settings = cls.model_validate(values)
            return settings, settings._wrong_together()
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)
        problems = {str(fault["loc"][0]): fault["msg"].removeprefix("Value error, ") for fault in faults}
        valid = {name: value for name, value in values.items() if name not in problems}
        return cls.model_validate(valid), {name: f"{name}: {rule}" for name, rule in problems.items()}

    def _wrong_together(self) -> dict[str, str]:
        """Return a line for each variable that is wrong because of another one, by its name."""
        if self.broker_url is None and "+cluster://" in (self.redis_url or "").lower():
            rule = "must be set where REDIS_URL is a Redis Cluster, which can hold no queues; allowed is amqp://… or redis://…"
            return {"BROKER_URL": f"BROKER_URL: {rule}"}
        return {}

    @classmethod
    def variables(cls) -> list[str]:
        """The names of all environment variables that are read."""
        return [str(field.alias) for field in cls.model_fields.values()]

    @property
    def extended(self) -> bool:
        """Whether the fields of the provider's older page are accepted."""
        return self.proxstop_extended == "on"

    @property
    def traced(self) -> bool:
        """Whether spans of jobs are made."""
        return self.tracing != "off"

    @property
    def keeps_connections(self) -> bool:
        """Whether connections are kept. If not, each call has its own."""
        return self.proxstop_keepalive == "on"

    @property
    def webhook_waits(self) -> tuple[float, ...]:
        """The waits between the attempts at a webhook delivery, in seconds."""
        return waits.waits(self.webhook_schedule)

    @property
    def embedded(self) -> bool:
        """Whether the program runs its own Redis, because REDIS_URL is not set."""
        return self.redis_url is None
