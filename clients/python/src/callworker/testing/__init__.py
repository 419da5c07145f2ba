"""For tests of a program that uses the client: no broker, no worker and no phone is needed.

fake          a client that sends nothing
aio           the same for asyncio
tools         what a test does with both
outcomes      how jobs end
installation  workers, provider and broker in memory
reader        one reader of its events
sandbox       the sandbox provider as a process
plugin        the fixtures for pytest: callworker_fake and callworker_sandbox
"""

from typing import TYPE_CHECKING, Any

from callworker.testing.fake import FakeClient
from callworker.testing.outcomes import Outcome, expired, failed, like_the_sandbox, placed, rejected, unknown

if TYPE_CHECKING:
    from callworker.testing.aio import AsyncFakeClient


def __getattr__(name: str) -> Any:
    """Import what asyncio needs only for tests that use it."""
    if name != "AsyncFakeClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from callworker.testing.aio import AsyncFakeClient  # noqa: PLC0415

    return AsyncFakeClient


__all__ = [
    "AsyncFakeClient",
    "FakeClient",
    "Outcome",
    "expired",
    "failed",
    "like_the_sandbox",
    "placed",
    "rejected",
    "unknown",
]
