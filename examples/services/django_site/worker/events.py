"""Reads events."""

from signup.service import client, verifications


def read() -> None:
    """Tell the sign-ups what became of their calls. An event counts as read once the next one is asked for."""
    for event in client().events(queue="sign-ups"):
        verifications().told(event)
