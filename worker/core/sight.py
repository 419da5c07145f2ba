"""What a look at the store tells of the work that there is."""

from __future__ import annotations

import math
from typing import NamedTuple


class Sight(NamedTuple):
    """In how many seconds there may be something to do; infinite if nothing waits for anything.

    `lanes` is about waiting jobs that are due, `overdue` about jobs that expire or whose worker was lost, `deliveries`
    about webhooks. `events` tells whether any event waits for the results queue.
    """

    lanes: float
    overdue: float
    deliveries: float
    events: bool

    @property
    def something(self) -> bool:
        """Whether anything waits for anything."""
        return self.events or min(self.lanes, self.overdue, self.deliveries) < math.inf
