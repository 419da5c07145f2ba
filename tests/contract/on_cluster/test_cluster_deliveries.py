"""The promises of `test_deliveries.py`, kept on a Redis Cluster."""

from tests.contract.test_deliveries import *  # noqa: F403
