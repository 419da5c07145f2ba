"""The promises of `test_outbox.py`, kept on a Redis Cluster."""

from tests.contract.test_outbox import *  # noqa: F403
