"""ProxStop's API over requests: the adapter behind `ports.Provider`.

client.py       ProxStop: place_call and balance, the whole of what the rest of the program uses
transport.py    one POST through requests; the phase reached decides what a fault means
adapter.py      the requests adapter: urllib3's pool, with connections of ours
connection.py   urllib3 connections that know the phase and hold the gate
waiting.py      all that a request waits for, without holding up the other calls of its thread
inbox.py        an HTTP answer read under a deadline and a size cap
phases.py       the phases of one request
answer.py       a body's bytes → a ref, or the provider's error
bodies.py       bytes → plain objects: JSON in both spellings, XML, to the letter
repair.py       the same, as a person would read it; loose_json.py and loose_xml.py beside it
codings.py      content codings undone, whatever the head says of them
oddities.py     what was unusual about an answer that was understood
verdict.py      an answer, or an HTTP status without one → what happens next
codes.py        the provider's error table, from config/provider_errors.toml
redaction.py    foreign text → text that may be published
"""

from worker.http.adapter import Connections
from worker.provider.client import CallResult, Observe, ProxStop
from worker.provider.codes import Codes

__all__ = ["CallResult", "Codes", "Connections", "Observe", "ProxStop"]
