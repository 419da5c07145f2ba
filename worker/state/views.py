"""What people ask of the store: one job's story, deliveries and letters that wait. Nothing is changed."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, islice
from typing import Any

import redis

from worker.events import Status, rfc3339
from worker.jobs import mask
from worker.ports import Reason
from worker.state import keys
from worker.state.scripts import translated

_STEP = re.compile(r"([0-9]{13}) (\S+) ?(.*)")
