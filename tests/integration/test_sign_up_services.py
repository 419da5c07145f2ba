"""The sign-up services of examples/services as a person uses them, with real workers and a real broker."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from callworker.testing import FakeClient
from sqlite_store import SqliteStore
from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.receiver import local_hook
from tests.integration.stack import Stack
from tests.processes import free_port, process, wait_until
from tests.redis_server import RedisServer
from verification import Verifications
from worker.sandbox import Sandbox

SERVICES = Path(__file__).parents[2] / "examples/services"
SITE = SERVICES / "django_site"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
KEY = "a key of this service"

WITH_FLASK = (["-m", "flask", "--app", "flask_app", "run", "--port", "{port}"],)
WITH_FASTAPI = (["-m", "uvicorn", "--factory", "--port", "{port}", "fastapi_app:create_app"],)
WITH_DJANGO = (
    [str(SITE / "manage.py"), "runserver", "--noreload", "127.0.0.1:{port}"],
    [str(SITE / "manage.py"), "read_events"],
)


@dataclass
class Service:
    """A running service and all around it."""

    port: int
    sandbox: Sandbox
    events: str

    def ask(self, path: str, fields: Mapping[str, Any] | None = None) -> tuple[int, Any, Mapping[str, str]]:
        """Send a request, with `fields` a POST. Returns status, parsed body and headers, in lower case."""
        body = None if fields is None else json.dumps(fields).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read()), lower(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null"), lower(error.headers)

    def answers(self) -> bool:
        try:
            return self.ask("/sign-ups/nobody")[0] == 404
        except OSError:
            return False

    def state(self, name: str) -> Any:
        return self.ask(f"/sign-ups/{name}")[1]


def lower(headers: Message) -> dict[str, str]:
    """Return the headers under their names in lower case, however the server spells them."""
    return {name.lower(): value for name, value in headers.items()}


@pytest.fixture(params=["flask, redis", "fastapi, amqp", "django, redis"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl
) -> Iterator[Service]:
    framework, _, broker = request.param.partition(", ")
    port, url = free_port(), broker_url(broker)
    hook = local_hook(f"http://127.0.0.1:{port}/callworker", name="sign-ups", secret_env="SIGN_UPS_SECRET")
    webhooks = [] if framework == "django" else [hook]
    accounts = {"acme": {"rate": "50/s", "burst": 20, "webhooks": webhooks}}
    own = {
        "PYTHONPATH": os.pathsep.join([str(SERVICES), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "BROKER_URL": url,
        "CALLWORKER_ACCOUNT": "acme",
        "CALLWORKER_WEBHOOK_SECRET": SECRET,
        "PIN_KEY": KEY,
        "DJANGO_SECRET_KEY": "made up",
        "DATABASE": str(tmp_path / "sign-ups.db"),
    }
    with (
        Sandbox() as sandbox,
        Stack(tmp_path, own_redis.url, url, sandbox.url, accounts, SIGN_UPS_SECRET=SECRET) as stack,
        running(framework, tmp_path, port, {**os.environ, **own}),
    ):
        made = Service(port, sandbox, "events" if framework == "django" else "webhooks")
        wait_until(made.answers, "the service answers")
        stack.start("run")
        yield made


@contextmanager
def running(framework: str, folder: Path, port: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Run the processes of a service, in the order in which an operator starts them."""
    commands: Sequence[Sequence[str]] = {
        "flask": WITH_FLASK, "fastapi": WITH_FASTAPI, "django": WITH_DJANGO
    }[framework]  # fmt: skip
    with ExitStack() as stack:
        if framework == "django":
            with process([sys.executable, str(SITE / "manage.py"), "migrate"], folder, environ) as migration:
                assert migration.wait(60) == 0
        for number, words in enumerate(commands):
            own = folder / f"process-{number}"
            own.mkdir()
            filled = [word.format(port=port) for word in words]
            stack.enter_context(process([sys.executable, *filled], own, environ))
        yield


@pytest.fixture
def pin_of(tmp_path: Path) -> Callable[[str], str]:
    """Returns the PIN of a job, as the service computes it."""
    return Verifications(FakeClient(), SqliteStore(str(tmp_path / "none.db")), "acme", KEY.encode()).pin


def test_person_signs_up(service: Service, pin_of: Callable[[str], str]) -> None:
    """The phone rings once, a wrong PIN is refused, the right one taken, and a second call has to wait."""
    phone = new_job("any")["phone"]
    status, begun, _ = service.ask("/sign-ups", {"country": "1", "phone": phone})
    name = begun["id"]
    wait_until(lambda: service.state(name)["state"] == "called", "the service learns of the call")
    assert (status, [served.rung for served in service.sandbox.requests(phone)]) == (202, [True])
    assert service.ask(f"/sign-ups/{name}/check", {"pin": "0"})[:2] == (200, {"verified": False})
    status, told, headers = service.ask(f"/sign-ups/{name}/call", {})
    assert (status, told["error"]) == (429, "TOO_SOON") and int(headers["retry-after"]) <= 61
    right = {"pin": pin_of(f"{name}-1")}
    assert service.ask(f"/sign-ups/{name}/check", right)[:2] == (200, {"verified": True})
    assert service.ask(f"/sign-ups/{name}/call", {})[0] == 409

    _, wrong, _ = service.ask("/sign-ups", {"country": "1", "phone": "3125550001"})
    ended = {"state": "not_called", "reason": "INVALID_TELEPHONE"}
    wait_until(lambda: bool(service.state(wrong["id"]) == ended), "the service learns of the refusal")
    status, told, _ = service.ask("/sign-ups", {"country": "1", "phone": "12"})
    assert (status, list(told["fields"])) == (422, ["phone"])
    assert service.ask("/sign-ups", {"country": "1"})[0] == 422
    if service.events == "webhooks":
        assert service.ask("/callworker", {"type": "call.placed"})[0] == 401
