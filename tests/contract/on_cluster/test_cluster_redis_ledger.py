"""The promises of `test_redis_ledger.py`, kept on a Redis Cluster."""

from tests.contract.test_redis_ledger import *  # noqa: F403
