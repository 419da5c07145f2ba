"""A stand-in for the provider: its three calls over HTTP, with faults that are chosen by the phone number.

It needs only the standard library and imports nothing else of this project, so that it can judge the rest from outside.
Start with `Sandbox`; `behaviours.TABLE` says which number has which behaviour.

    server       Sandbox: one event loop for all connections
    connection   the requests of one connection, each with its reply
    wire         reads one HTTP request
    routes       finds the answer to a path
    provider     the provider's three calls, without HTTP
    validation   the checks that the provider makes before it dials
    behaviours   how a call is answered, by the last digits of its number
    rendering    answers in JSON and XML
    replies      the replies: a response, silence or a reset
    request_log  every request that was served: the truth about how often a phone was rung
    bounded      a dictionary that forgets its oldest entries
"""

from __future__ import annotations

from worker.sandbox.request_log import ServedRequest
from worker.sandbox.server import Sandbox

__all__ = ["Sandbox", "ServedRequest"]
