"""The promises of `test_census.py`, kept on a Redis Cluster."""

from tests.contract.test_census import *  # noqa: F403
