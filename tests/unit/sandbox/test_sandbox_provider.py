"""What the stand-in remembers between calls: refs, PINs and points."""

from __future__ import annotations

from worker.sandbox.bounded import BoundedDict
from worker.sandbox.provider import Provider
from worker.sandbox.replies import Response

from .sandbox_client import KEY, Client


def test_status_says_whether_the_typed_code_is_the_pin(client: Client) -> None:
    """The PIN gives "0", anything else and nothing at all give "-1"; the call counts as answered."""
    ref = client.call("2025550199", code="777").content["response"]["ref"]
    answers = [
        client.get("telephonestatus.json", key=KEY, referenceid=ref, **typed).content["response"]
        for typed in ({"code": "777"}, {"code": "778"}, {})
    ]
    assert answers == [{"status": "100", "valid": valid} for valid in ("0", "-1", "-1")]


def test_status_of_an_unknown_ref_is_refused(client: Client) -> None:
    """A ref that was never given is INVALID_TELEREFERENCE, as is none."""
    for form in ({}, {"referenceid": "F" * 32}):
        answer = client.get("telephonestatus.json", key=KEY, **form)
        assert answer.error_code == "INVALID_TELEREFERENCE"


def test_balance_falls_by_one_per_ref_of_that_key_only(client: Client) -> None:
    """A ref costs one point, a refusal none, and another account keeps its own."""
    client.call("2025550199")
    client.call("2025550001")
    balances = [client.get("balance.json", key=key).content["response"]["balance"] for key in (KEY, "F" * 32)]
    assert balances == ["123", "124"]


def test_balance_stops_at_zero_and_calls_go_on() -> None:
    """The 130th call still gets a ref, and the balance is 0 by then."""
    provider = Provider()
    form = {"key": KEY, "country": "1", "phone": "2025550199", "code": "12345"}
    outcomes = [provider.telephonecall(form, "json") for _ in range(130)]
    assert outcomes[-1].ref
    reply = provider.balance(form, "json").reply
    assert isinstance(reply, Response)
    assert b'"balance":"0"' in reply.body


def test_bounded_dict_forgets_the_oldest_key() -> None:
    """Beyond its limit the key that was added first goes."""
    remembered: BoundedDict[int, str] = BoundedDict(2)
    remembered.update({1: "a", 2: "b"})
    remembered[3] = "c"
    assert dict(remembered) == {2: "b", 3: "c"}
