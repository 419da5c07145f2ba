"""The ledger contract, kept by the ledger on a Redis Cluster."""

from tests.contract.test_ledger import TestRedisLedger as TestClusterLedger

__all__ = ["TestClusterLedger"]
