"""The fault harness: real workers, brokers and a provider, faults put into them, and an oracle outside.

`make faults`, or `python -m tests.faults --help`. `oracle` and `windows` say what a run counts and by
which rules; `cells` lists the faults.
"""
