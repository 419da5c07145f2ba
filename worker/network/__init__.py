"""Shared by all clients of servers.

trust     the certificates that are trusted over HTTPS
guard     which addresses webhooks may go to
proxy     the proxy through which webhooks go
causes    why a server cannot be used, found from the errors of libraries
remedies  what to do about each cause
"""
