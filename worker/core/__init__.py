"""The rules of a job: what it is, what may happen to it, and the ports to the outside. No adapter is known here.

jobs            a job as producers send it, checked
events          the terminal events, in the bytes that subscribers receive
accounts        the accounts file: API keys, limits and webhooks
account_fields  the fields of an account, each with its check
shards          the parts into which all state is divided, by account
limits          rate limits as arithmetic
retry           how often a job may be tried, and how long apart
repeats         whether a job under a known id is the same job or a conflict
records         what goes to the ledger and what comes back
ports           what the use case needs from outside
judging         the verdict on a message: a valid job, a rejected one, or a dead letter
calling         one job on its way through the provider: attempts and pauses
settling        the outcome of a job, and the decision that is recorded
verify          the use case: accept, dial, decide about lost jobs
"""
