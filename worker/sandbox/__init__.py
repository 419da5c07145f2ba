"""A stand-in for the provider: its three calls over HTTP, with faults chosen by the number dialled.

Needs nothing but the standard library and imports nothing else of this project, so that it can judge
the rest from outside. Start with ``Sandbox``; ``behaviours.TABLE`` says which number does what.

    server       Sandbox: one event loop for all connections
    connection   the requests of one connection, each with its reply
    wire         reading one HTTP request
    routes       which path is answered by what
    provider     the provider's three calls, without HTTP
    validation   what the provider refuses before it dials
    behaviours   how a call is answered, by the last digits of its number
    rendering    answers in JSON and XML
    replies      what goes back: a response, silence or a reset
    request_log  every request served: the truth about how often a phone was rung
    bounded      a dictionary that forgets its oldest entries
"""

from __future__ import annotations

from worker.sandbox.request_log import ServedRequest
from worker.sandbox.server import Sandbox

__all__ = ["Sandbox", "ServedRequest"]
