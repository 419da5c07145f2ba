"""Sends call-verification jobs to callworker, and reads what became of them, in any Python service."""

__version__ = "0.2.0"
