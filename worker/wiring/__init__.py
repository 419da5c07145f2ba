"""Puts the adapters behind the ports: the one place where everything is made.

accounts   what reads the accounts file, and follows its changes
wiring     all parts of one worker
provider   the client of the provider
pages      the health pages, and what they ask
restoring  what notices a store that went back in time, and what makes that good
webhooks   the parts that deliver webhooks
tracing    the spans of jobs, if they are traced
"""

from worker.wiring.wiring import Wiring

__all__ = ["Wiring"]
