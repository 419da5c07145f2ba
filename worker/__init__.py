"""callworker: takes call-verification jobs from a broker, has the phone rung, publishes what came of it."""

__version__ = "0.1.0"
