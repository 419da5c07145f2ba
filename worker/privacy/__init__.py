"""Keeping PINs, numbers, keys and passwords out of what is told and kept.

labelled   values behind a label, as in `code=4321`
addresses  passwords in the addresses of servers
scrubbing  takes secrets out of text by their labels and shapes
redaction  the last step before a log line is rendered
harmless   what a dead letter keeps of a message
"""
