"""The fixtures for pytest, which finds them by itself where the client is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    # pytest loads this file before each run, tests of other packages included.
    from callworker.testing import FakeClient
    from callworker.testing.sandbox import Sandbox


@pytest.fixture
def callworker_fake() -> Iterator[FakeClient]:
    """A client that sends nothing, and lets the test decide how jobs end."""
    from callworker.testing import FakeClient  # noqa: PLC0415

    with FakeClient() as fake:
        yield fake


@pytest.fixture(scope="session")
def _callworker_sandbox() -> Iterator[Sandbox]:
    from callworker.testing.sandbox import NotInstalled, running_sandbox  # noqa: PLC0415

    try:
        with running_sandbox() as sandbox:
            yield sandbox
    except NotInstalled as error:
        pytest.fail(f"callworker_sandbox: {error}", pytrace=False)


@pytest.fixture
def callworker_sandbox(_callworker_sandbox: Sandbox) -> Sandbox:
    """The sandbox provider as a process, with no requests in its log yet. Fails if `callworker` is not installed."""
    _callworker_sandbox.clear()
    return _callworker_sandbox
