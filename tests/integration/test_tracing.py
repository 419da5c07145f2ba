"""Spans of jobs as a collector gets them, and contexts as producers and subscribers see them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import redis

from tests.collector import Collector
from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import Stack, api_key
from tests.integration.stand_in import Asked, Reply, StandIn, gives_ref, refuses
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.state import holds

SECRET = "whsec_" + base64.b64encode(b"a secret of sorts, number 1").decode()
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = f"00-{TRACE}-{SPAN}-01"
PIN = "90817"


def script(asked: Asked) -> Reply:
    return refuses("INVALID_TELEPHONE", f"No number {asked.phone}.") if asked.turn == 2 else gives_ref()


@pytest.mark.parametrize(("kind", "mode"), [("redis", "parent"), ("amqp", "links")])
def test_spans_of_a_job_form_one_trace_over_two_workers(
    kind: str, mode: str, tmp_path: Path, own_redis: RedisServer, broker_url: BrokerUrl
) -> None:
    """One worker accepts the jobs, another one dials them: the spans are those of a job that had one worker.

    Subscribers get the contexts of the spans in which their event was sent. No span has a PIN, a number or a key.
    """
    redis.Redis.from_url(own_redis.url).flushall()
    with (
        Collector() as collector,
        Receiver() as receiver,
        StandIn(lambda _: gives_ref()) as provider,
        Stack(
            tmp_path,
            own_redis.url,
            broker_url(kind),
            provider.url,
            {
                "acme": {
                    "rate": "100/s",
                    "webhooks": [local_hook(f"{receiver.url}/hook?t=1", secret_env="HOOK")],
                }
            },
            HOOK=SECRET,
            TRACING=mode,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
        ) as stack,
    ):
        first, outside = stack.start(), stack.outside
        holds.hold(outside.redis, "acme", "operator")
        outside.plain(new_job("by-field", code=PIN, traceparent=CONTEXT), new_job("untraced", code=PIN))
        job = new_job("by-header", code=PIN)
        outside.celery.send_task("calls.verify", kwargs=job, queue="calls", headers={"traceparent": CONTEXT})
        names = ("by-field", "by-header", "untraced")
        wait_until(lambda: first.metric("jobs_accepted_total") == 3, "the first worker has them")
        first.terminate()
        assert first.exit_status() == 0, first.output
        second = stack.start()
        holds.resume(outside.redis, "acme")
        outside.wait(names)
        wait_until(lambda: len(receiver.hooks) == 3, "all hooks")
        second.terminate()
        assert second.exit_status() == 0, second.output

        for name in names:
            spans = {span.name: span for span in collector.of(name)}
            assert len(spans) == len(collector.of(name)) == 5, spans
            job_span, wait = spans["process calls"], spans["wait calls"]
            call, send, hook = spans["POST /telephonecall.xml"], spans["send results"], spans["POST webhook"]
            assert {one.trace_id for one in spans.values()} == {job_span.trace_id}
            assert {one.parent_id for one in (wait, call, send, hook)} == {job_span.span_id}
            given = name != "untraced"
            if mode == "parent" and given:
                assert (job_span.trace_id, job_span.parent_id, job_span.links) == (TRACE, SPAN, ())
            else:
                assert job_span.trace_id != TRACE and not job_span.parent_id
                assert job_span.links == (((TRACE, SPAN),) if given else ())
            assert job_span.starts == wait.starts < wait.ends <= job_span.ends
            assert wait.attributes["callworker.wait.reason"] == "held"
            assert call.attributes["http.response.status_code"] == 200
            assert call.attributes["url.full"] == f"{provider.url}/telephonecall.xml"
            assert hook.attributes["url.full"] == f"{receiver.url}/hook"
            (message,) = outside.delivered[name]
            assert message.headers["traceparent"] == f"{send.context}-01"
            (request,) = (got for got in receiver.hooks if got.event_id == message.event["id"])
            assert request.headers["traceparent"] == f"{hook.context}-01"
            assert job_span.resource["service.name"] == "callworker"
            assert job_span.resource["deployment.environment.name"] == "test"
        told = [str(value) for span in collector.spans for value in (*span.attributes.values(), span.error)]
        for secret in (PIN, api_key("acme"), SECRET, *(asked.phone for asked in provider.asked)):
            assert not any(secret in text for text in told)
        assert not any("traceparent" in asked.headers for asked in provider.asked)
