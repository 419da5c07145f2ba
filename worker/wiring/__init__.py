"""Puts the adapters behind the ports: the one place where everything is made.

accounts   what reads the accounts file, and follows its changes
wiring     the loops of one worker, and the order in which all its parts start and stop
parts      the parts of one worker
provider   the client of the provider
store      what reaches the store, and what this worker remembers of it
results    what brings events to the results queue, and stops dialling while it does not take them
pages      the health pages, and what they ask
webhooks   the parts that deliver webhooks
tracing    the spans of jobs, if they are traced
"""

from worker.wiring.wiring import Wiring

__all__ = ["Wiring"]
