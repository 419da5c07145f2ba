"""Failovers of the state, with network namespaces as machines: `python -m tests.failover`, or `make failover`.

network     three machines on one network, and cables between them that can be cut
instance    a Redis or a Sentinel on a machine, and what all states of several have
sentinels   one primary and two replicas, watched by three Sentinels
cluster     three primaries of a Redis Cluster, each with two replicas on the other machines
bench       an installation whose state is on the machines
cells       what is done to the machines while jobs come in
"""
