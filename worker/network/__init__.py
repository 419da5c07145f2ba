"""What all clients of servers share.

tls     TLS to Redis and brokers
trust   which certificates are trusted over HTTPS
causes  why a server cannot be used, told from the errors of libraries
"""
