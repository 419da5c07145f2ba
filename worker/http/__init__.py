"""The HTTP client: one deadline over a whole request, and the phase that it reached.

adapter      a requests adapter for one host, over a pool of urllib3
connection   connections that know how far a request has come, and hold the gate
waiting      all that a request waits for: names, connections, handshakes, the socket
phases       how far one request has come
inbox        an answer, read under a deadline and a size cap
heads        the head of an answer
retry_after  the Retry-After header
oddities     what may be unusual about an answer that was understood
faults       why a request came to nothing
"""
