"""Tests of a program that verifies phone numbers: no broker, no worker and no phone is needed."""

from __future__ import annotations

import os

from callworker import Client, Event
from callworker.testing import FakeClient
from callworker.webhooks import verify

SECRET = os.environ.get("CALLS_WEBHOOK_SECRET", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")


class SignUp:
    """The program under test: it has a phone called, and shows the person what became of that."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.shown: dict[str, str] = {}

    def send_pin(self, order: str, phone: str, pin: str) -> None:
        self.client.enqueue({"id": order, "account": "shop", "country": "1", "phone": phone, "code": pin})

    def take(self, event: Event) -> None:
        if event.status == "failed" and event.error and event.error.code == "INVALID_TELEPHONE":
            self.shown[event.data.id] = "Please check your number."
        elif event.status in ("placed", "unknown"):
            self.shown[event.data.id] = "Your phone rings. Enter the PIN."

    def receive(self, body: bytes, headers: dict[str, str]) -> None:
        self.take(verify(body, headers, SECRET))

    def work(self) -> None:
        for event in self.client.events(queue="results.sign-up"):
            self.take(event)


def test_pin_is_sent_to_the_number(callworker_fake: FakeClient) -> None:
    SignUp(callworker_fake).send_pin("order-1", "2125550123", "4711")
    (job,) = callworker_fake.jobs
    assert (job.phone, job.code) == ("2125550123", "4711")


def test_wrong_number_is_told(callworker_fake: FakeClient) -> None:
    sign_up = SignUp(callworker_fake)
    sign_up.send_pin("order-1", "2125550123", "4711")
    sign_up.take(callworker_fake.fail("order-1", "INVALID_TELEPHONE"))
    assert sign_up.shown == {"order-1": "Please check your number."}


def test_numbers_end_as_with_the_sandbox(callworker_fake: FakeClient) -> None:
    sign_up = SignUp(callworker_fake)
    sign_up.send_pin("order-1", "2125550123", "4711")
    sign_up.send_pin("order-2", "2125550001", "4711")
    sign_up.work()
    assert sign_up.shown == {
        "order-1": "Your phone rings. Enter the PIN.",
        "order-2": "Please check your number.",
    }


def test_webhook_is_taken(callworker_fake: FakeClient) -> None:
    sign_up = SignUp(callworker_fake)
    sign_up.send_pin("order-1", "2125550123", "4711")
    body, headers = callworker_fake.webhook(callworker_fake.unknown("order-1"), SECRET)
    sign_up.receive(body, headers)
    assert sign_up.shown == {"order-1": "Your phone rings. Enter the PIN."}
