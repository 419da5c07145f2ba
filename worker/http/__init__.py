"""The HTTP client of the provider and the webhooks: one deadline for a whole request, and the phase that it reached.

To make a request, call `prepared` and `with_body`, make an `Exchange` with its bounds, and call `Client.send`.

client       sends requests to one server, on connections that may be kept
phases       Exchange: one request and its answer, the phase that it reached, and its bounds
request      prepares a request with the library `requests`, and writes it as bytes
faults       why a request failed
connection   connects, passes the gate, writes
addresses    resolves a name to addresses; the one place that decides what may be connected to
lookups      looks names up in threads, each name once at a time
handshakes   TLS handshakes; those that take a lot of computing go to a thread aside
waiting      all waiting for a socket
tunnel       has a proxy connect for us
answer       reads an answer under the exchange's bounds
heads        reads the header of an answer
oddities     what may be unusual about an answer that was understood
retry_after  the Retry-After header
"""
