"""The HTTP client of the provider and the webhooks: one deadline over a whole request, and the phase that it reached.

To make a request: `prepared` and `with_body`, an `Exchange` with its bounds, and `Client.send`.

client       requests to one server, on connections that may be kept
phases       the exchange: how far one request has come, and its bounds
request      a request, prepared by `requests`, and as it is written
faults       why a request came to nothing
connection   connects, passes the gate, writes
addresses    from a name to addresses, the one place that decides what may be connected to
waiting      all waiting for a socket
answer       an answer, read under the exchange's bounds
heads        the header of an answer
oddities     what may be unusual about an answer that was understood
retry_after  the Retry-After header
"""
