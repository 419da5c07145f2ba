"""Faults of the provider, and of what becomes of calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ops.pages.fault import Fault, Put
from ops.pages.scene import Answer, Scene
from tests.faults.proxy import Fault as LineFault
from tests.faults.proxy import Illness
from tests.integration.stand_in import Reply, gives_ref, refuses

HANGS_SECONDS = 600.0


def _answers(account: str, answer: Answer) -> Put:
    """Let the provider answer all calls of an account like this."""

    @contextmanager
    def put(scene: Scene) -> Iterator[None]:
        scene.answers[account] = answer
        yield
        del scene.answers[account]

    return put


@contextmanager
def _refuses_connections(scene: Scene) -> Iterator[None]:
    scene.line.ail(LineFault(Illness.REFUSE))
    yield
    scene.line.repair()


@contextmanager
def _redirects(scene: Scene) -> Iterator[None]:
    away = Reply("", 302, {"Location": "http://127.0.0.1:9/"})
    with _answers("acme", lambda _: away)(scene), _answers("globex", lambda _: away)(scene):
        yield


_status = partial(Reply, "")
BUSY = Reply("", 429, {"Retry-After": "1"})

FAULTS = (
    Fault(
        "provider-refuses",
        "the provider refuses connections",
        _refuses_connections,
        "CallworkerProviderErrors",
    ),
    Fault("provider-redirects", "the provider redirects", _redirects, "CallworkerProviderMisconfigured"),
    Fault(
        "account-503",
        "the provider answers 503 to initech, 1 of 16 jobs",
        _answers("initech", lambda _: _status(503)),
        "CallworkerProviderFailing",
        {"account": "initech"},
    ),
    Fault(
        "account-429",
        "the provider answers 429 to globex",
        _answers("globex", lambda _: BUSY),
        "CallworkerThrottled",
        {"account": "globex"},
    ),
    Fault(
        "account-hangs",
        "the provider never answers acme, 12 of 16 jobs",
        _answers("acme", lambda _: gives_ref(HANGS_SECONDS)),
        "CallworkerProviderFailing",
        {"account": "acme"},
    ),
    Fault(
        "no-points",
        "globex has no points left",
        _answers("globex", lambda _: refuses("NO_POINTS")),
        "CallworkerAccountHeld",
        {"account": "globex", "reason": "NO_POINTS"},
    ),
    Fault(
        "unknown-code",
        "the provider refuses initech's jobs with a code that no table lists",
        _answers("initech", lambda _: refuses("MOON_PHASE")),
        "CallworkerUnknownProviderCode",
        {"account": "initech"},
    ),
    Fault(
        "all-refused",
        "the provider refuses all of initech's jobs for good",
        _answers("initech", lambda _: refuses("INVALID_TELEPHONE")),
        "CallworkerJobsFailing",
        {"account": "initech"},
    ),
    Fault(
        "too-few-places",
        "calls take so long that two workers have too few places",
        _answers("acme", lambda _: gives_ref(1.0)),
        "CallworkerNoPlaces",
        settings={"CONCURRENCY": "4"},
    ),
)
