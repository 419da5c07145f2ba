"""The promises of `test_made_good.py`, kept on a Redis Cluster."""

from tests.contract.test_made_good import *  # noqa: F403
