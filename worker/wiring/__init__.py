"""Puts the adapters behind the ports: the one place where everything is made.

wiring    all parts of one worker
webhooks  the parts that deliver webhooks
"""

from worker.wiring.wiring import Wiring

__all__ = ["Wiring"]
