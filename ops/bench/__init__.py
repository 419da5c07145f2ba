"""Compares the cost and speed of callworker with other Python queues on the same servers: `make bench`."""
