"""Keeps PINs, phone numbers, keys and passwords out of everything that is logged, published or stored.

labelled   values after a label, as in `code=4321`
addresses  passwords in the addresses of servers
scrubbing  takes secrets out of text by their labels and shapes
redaction  the last step before a log line is rendered
harmless   the parts of a message that a dead letter may keep
"""
