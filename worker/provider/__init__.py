"""ProxStop's API over requests: the adapter behind `core.ports.Provider`.

client      ProxStop: place_call and balance, which the rest of the program uses
observers   who is told of each request
transport   one POST; the phase reached decides what a fault means
verdict     what one answer means for the job
answer      the content of a body: a ref, the provider's error, a balance, or nothing
bodies      strict reading of a body: JSON in two spellings, and XML
repair      lenient reading of a body that the strict one refuses
loose_json  JSON as people and careless servers write it
loose_xml   XML that is nearly well-formed
codings     content codings, whatever the header says
codes       the provider's error table, from config/provider_errors.toml
publishing  the provider's texts, cleaned so that they can be published
spellings   the spellings in which a number, PIN or key may be quoted
"""

from worker.provider.client import ProxStop
from worker.provider.codes import Codes
from worker.provider.observers import CallResult, Observers
from worker.provider.transport import Connections

__all__ = ["CallResult", "Codes", "Connections", "Observers", "ProxStop"]
