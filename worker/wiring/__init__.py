"""Puts the adapters behind the ports: the one place where everything is made.

wiring    all parts of one worker
pages     the health pages, and what they ask
webhooks  the parts that deliver webhooks
"""

from worker.wiring.wiring import Wiring

__all__ = ["Wiring"]
