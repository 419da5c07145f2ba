"""Puts the adapters behind the ports: the one place where everything is made.

wiring    all parts of one worker
pages     the health pages, and what they ask
webhooks  the parts that deliver webhooks
tracing   the spans of jobs, if they are traced
"""

from worker.wiring.wiring import Wiring

__all__ = ["Wiring"]
