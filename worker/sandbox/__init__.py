"""A stand-in for the provider: its three calls over HTTP, with faults chosen by the number dialled.

Needs nothing but the standard library and imports nothing else of this project, so that it can judge
the rest from outside. Start with ``Sandbox``; ``behaviours.TABLE`` says which number does what.
"""

from __future__ import annotations

from worker.sandbox.request_log import ServedRequest
from worker.sandbox.server import Sandbox

__all__ = ["Sandbox", "ServedRequest"]
