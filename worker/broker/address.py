"""Which broker: BROKER_URL, else REDIS_URL spelled for kombu, else the embedded server."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from worker import embedded
from worker.settings import Settings


def broker_url(settings: Settings) -> str:
    """The kombu URL of the broker that `settings` name. Starts nothing."""
    if settings.broker_url is not None:
        return settings.broker_url
    if settings.redis_url is not None:
        return kombu_url(settings.redis_url)
    return embedded.broker_url(settings.state_dir or embedded.default_state_dir())


def kombu_url(redis_url: str) -> str:
    """The same server for kombu: redis-py's `unix:///path?db=1` is `redis+socket:///path?virtual_host=1`
    there.

    `redis://` and `rediss://` are spelled alike by both and come back unchanged.
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "db" in query:
        query["virtual_host"] = query.pop("db")
    suffix = f"?{urlencode(query)}" if query else ""
    return f"redis+socket://{parts.netloc}{parts.path}{suffix}"


def redis_broker(settings: Settings) -> str | None:
    """The broker's address for redis-py where the broker is one Redis server, else None (AMQP, Sentinel, a list)."""
    url = broker_url(settings)
    scheme = urlsplit(url).scheme
    if ";" in url or scheme not in ("redis", "rediss", "redis+socket"):
        return None
    return url if scheme != "redis+socket" else _redis_py_url(url)


def _redis_py_url(kombu: str) -> str:
    """The opposite of `kombu_url`."""
    parts = urlsplit(kombu)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if "virtual_host" in query:
        query["db"] = query.pop("virtual_host")
    suffix = f"?{urlencode(query)}" if query else ""
    return f"unix://{parts.netloc}{parts.path}{suffix}"
