"""Reads events from the exchange `results`, over a connection of its own.

iterating     the iterators, which connect again after an outage
names         queues, and patterns of types
lists         queues that are lists in Redis
"""
