"""Error replies of Redis: those that only say "not now" are distinguished from faults of a script, however wrapped."""

from __future__ import annotations

import pytest
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from worker.errors import StoreFault, StoreUnavailable
from worker.redisio.refusals import code_of
from worker.redisio.translation import store_errors

OOM = "OOM command not allowed when used memory > 'maxmemory'."
READONLY = "READONLY You can't write against a read only replica."
SHA = "f_3d1d1e2d5c5a1d9a7d1b3c5e7f90a1b2c3d4e5f6"
REPLIES = [
    (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "OOM"),
    (ReadOnlyError("You can't write against a read only replica."), "READONLY"),
    (ResponseError(f"{OOM} script: {SHA[2:]}, on @user_script:12."), "OOM"),

    (ResponseError(f"Error running script (call to {SHA}): @user_script:12: -{OOM}"), "OOM"),
    (ResponseError(f"Error running script (call to {SHA}): @user_script:12: @user_script: 12: -{OOM}"), "OOM"),
    (ResponseError(f"ERR Error running script (call to {SHA}): @user_script:1: -{READONLY}"), "READONLY"),
    (ResponseError("MISCONF Redis is configured to save RDB snapshots, but …"), "MISCONF"),
    (ResponseError(f"Error running script (call to {SHA}): @user_script:7: -MISCONF Errors writing"), "MISCONF"),
    (ResponseError("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS"),
    (ResponseError("UNBLOCKED force unblock from blocking operation, instance state changed"), "UNBLOCKED"),
    (ResponseError("BUSY Redis is busy running a script."), "BUSY"),
    (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), None),
    (ResponseError("NOPERM this user has no permissions to run the 'info' command"), None),
    (ResponseError(f"ERR user_script:3: attempt to index a nil value script: {SHA[2:]}, on @user_script:3."), None),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "code"), [reply for reply in REPLIES if reply[1]])
def test_a_server_that_cannot_write_now_is_unavailable(problem: ResponseError, code: str) -> None:
    """The logged cause has the code, whether it comes first or within a script's words. (A2, B1)"""
    assert code_of(problem) == code
    with pytest.raises(StoreUnavailable, match=code), store_errors():
        raise problem


@pytest.mark.parametrize("problem", [reply[0] for reply in REPLIES if not reply[1]])
def test_a_fault_of_ours_is_called_one(problem: ResponseError) -> None:
    """It would be the same tomorrow."""
    assert code_of(problem) is None
    with pytest.raises(StoreFault) as raised, store_errors():
        raise problem
    assert raised.value.__cause__ is problem


def test_a_password_that_was_set_meanwhile_is_no_fault_of_ours() -> None:
    """A connection without a login hears only that its command is too large; that counted as a script's fault."""
    refusal = ResponseError("Protocol error: unauthenticated multibulk length")
    with pytest.raises(StoreUnavailable, match="unauthenticated"), store_errors():
        raise refusal
