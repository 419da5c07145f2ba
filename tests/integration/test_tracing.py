"""Spans of jobs as a collector gets them, and contexts as producers and subscribers see them."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.collector import Collector, Taken
from tests.integration.conftest import BrokerUrl
from tests.integration.outside import new_job
from tests.integration.receiver import Receiver, local_hook
from tests.integration.stack import PROJECT, Stack, api_key
from tests.integration.stand_in import StandIn
from tests.processes import wait_until
from tests.redis_server import RedisServer
from worker.state import holds

SECRET = "whsec_" + base64.b64encode(b"a secret of sorts, number 1").decode()
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = f"00-{TRACE}-{SPAN}-01"
PIN = "90817"
BELOW = ("POST /telephonecall.xml", "send results", "POST webhook")
"""The spans of a job after its wait."""


PROGRAM = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from worker.producer import enqueue

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
with trace.get_tracer("shop").start_as_current_span("sign up"):
    enqueue({"id": "sent", "account": "acme", "country": "1", "phone": "3125004999", "code": "90817"})
"""
"""A producer in Python that has its own spans."""
COMMAND = ["-m", "worker.cli", "enqueue", "--id", "sent", "--account", "acme", "--country", "1"]
COMMAND += ["--phone", "3125004999", "--code", PIN, "--traceparent", CONTEXT]


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
        StandIn() as provider,
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
        subprocess.run(
            [sys.executable, *(["-c", PROGRAM] if mode == "parent" else COMMAND)],
            env=stack.environ,
            cwd=PROJECT,
            check=True,
        )
        names = ("by-field", "by-header", "untraced", "sent")
        wait_until(lambda: first.metric("jobs_accepted_total") == len(names), "the first worker has them")
        first.terminate()
        assert first.exit_status() == 0, first.output
        second = stack.start()
        holds.resume(outside.redis, "acme")
        outside.wait(names)
        wait_until(lambda: len(receiver.hooks) == len(names), "all hooks")
        second.terminate()
        assert second.exit_status() == 0, second.output

        for name in names:
            spans = {span.name: span for span in collector.of(name)}
            sent = spans.pop("send calls", None)
            assert (sent is None) == (name != "sent")
            if sent is not None and mode == "parent":
                (above,) = (span for span in collector.spans if span.name == "sign up")
                assert (sent.trace_id, sent.parent_id) == (above.trace_id, above.span_id)
            elif sent is not None:
                assert (sent.trace_id, sent.parent_id) == (TRACE, SPAN)
            of_producer = (sent.trace_id, sent.span_id) if sent else (TRACE, SPAN)
            assert spans["process calls"].attributes["messaging.system"] == {"amqp": "rabbitmq"}.get(
                kind, kind
            )
            check(spans, None if name == "untraced" else of_producer, joined=mode == "parent")
            (message,) = outside.delivered[name]
            assert message.headers["traceparent"].startswith(f"{spans['send results'].context}-")
            (request,) = (got for got in receiver.hooks if got.event_id == message.event["id"])
            assert request.headers["traceparent"].startswith(f"{spans['POST webhook'].context}-")
        told = [str(value) for span in collector.spans for value in (*span.attributes.values(), span.error)]
        for secret in (PIN, api_key("acme"), SECRET, *(asked.phone for asked in provider.asked)):
            assert not any(secret in text for text in told)
        assert not any("traceparent" in asked.headers for asked in provider.asked)


def check(spans: dict[str, Taken], producer: tuple[str, str] | None, *, joined: bool) -> None:
    """The spans of one job, and how they belong to those of its producer, of which there are trace and span id."""
    assert spans.keys() == {"process calls", "wait calls", *BELOW}
    job, wait, call = spans["process calls"], spans["wait calls"], spans["POST /telephonecall.xml"]
    assert {one.trace_id for one in spans.values()} == {job.trace_id}
    assert {spans[name].parent_id for name in ("wait calls", *BELOW)} == {job.span_id}
    if producer and joined:
        assert (job.trace_id, job.parent_id, job.links) == (*producer, ())
    else:
        assert not job.parent_id and job.links == ((producer,) if producer else ())
        assert not producer or job.trace_id != producer[0]
    assert job.starts == wait.starts < wait.ends <= job.ends
    assert wait.attributes["callworker.wait.reason"] == "held"
    assert call.attributes["http.response.status_code"] == 200
    assert "?" not in spans["POST webhook"].attributes["url.full"]
    assert job.resource["service.name"] == "callworker"
    assert job.resource["deployment.environment.name"] == "test"


def test_collector_that_is_away_costs_no_job(tmp_path: Path, own_redis: RedisServer) -> None:
    """The log has one line about it, from a worker that went on and ended as always."""
    redis.Redis.from_url(own_redis.url).flushall()
    with (
        Collector(status=400) as collector,
        StandIn() as provider,
        Stack(
            tmp_path,
            own_redis.url,
            own_redis.url,
            provider.url,
            {"acme": {"rate": "100/s", "burst": 50}},
            TRACING="links",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="50",
        ) as stack,
    ):
        worker = stack.start()
        for batch in range(3):
            names = [f"job-{batch}-{n}" for n in range(5)]
            stack.outside.send(*map(new_job, names))
            stack.outside.wait(names)
            wait_until(lambda: bool(worker.told("traces.export_failed")), "the log tells of it")
        worker.terminate()
        assert worker.exit_status() == 0, worker.output
        (line,) = worker.told("traces.export_failed")
        assert "Bad Request" in line["problem"]
        assert not [told for told in worker.told("library") if told["level"] != "info"]
