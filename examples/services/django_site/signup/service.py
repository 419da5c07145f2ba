"""The one `Verifications` of this process."""

from functools import cache

from django.conf import settings

from callworker import Client
from signup.store import Store
from verification import Verifications


@cache
def client() -> Client:
    """Return the client for BROKER_URL. It is safe over threads and forks."""
    return Client()


@cache
def verifications() -> Verifications:
    return Verifications(client(), Store(), settings.CALLWORKER_ACCOUNT, settings.PIN_KEY)
