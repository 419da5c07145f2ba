"""The fault harness: real workers, brokers and a provider, faults put into them, and an oracle outside.

`make faults`, or `python -m tests.faults --help`. What a run counts, and by which rules, is told in `oracle` and
`windows`; which faults there are, in `cells`.
"""
