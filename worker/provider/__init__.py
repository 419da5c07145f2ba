"""ProxStop's API over requests: the adapter behind `core.ports.Provider`.

client      ProxStop: place_call and balance, all that the rest of the program uses
transport   one POST; the phase reached decides what a fault means
verdict     what one answer means for the job
answer      a body: a ref, the provider's error, a balance, or nothing
bodies      bytes as plain objects: JSON in two spellings, and XML, to the letter
repair      the same, read as a person would read it
loose_json  JSON as people and careless servers write it
loose_xml   XML that is nearly well-formed
codings     content codings, whatever the head says
codes       the provider's error table, from config/provider_errors.toml
publishing  the provider's words, made fit to be published
spellings   the spellings in which a number, PIN or key may be quoted
"""

from worker.http.adapter import Connections
from worker.provider.client import CallResult, Observe, ProxStop
from worker.provider.codes import Codes

__all__ = ["CallResult", "Codes", "Connections", "Observe", "ProxStop"]
