"""For tests of a program that uses the client: no broker, no worker and no phone is needed.

fake          a client that sends nothing
tools         what a test does with both
outcomes      how jobs end
installation  workers, provider and broker in memory
reader        one reader of its events
sandbox       the sandbox provider as a process
plugin        the fixtures for pytest: callworker_fake and callworker_sandbox
"""

from callworker.testing.fake import FakeClient
from callworker.testing.outcomes import Outcome, expired, failed, like_the_sandbox, placed, rejected, unknown

__all__ = [
    "FakeClient",
    "Outcome",
    "expired",
    "failed",
    "like_the_sandbox",
    "placed",
    "rejected",
    "unknown",
]
