"""What a job is, what may happen to it, and what that needs from outside; no adapter is known here.

jobs      a job as producers send it, checked
events    the terminal events, in the bytes that subscribers receive
accounts  the accounts file: who pays, at what rate, who is told
shards    the parts into which all state is divided, by account
limits    rate limits as arithmetic
retry     how often a job may be tried, and how long apart
repeats   whether a job under a used id is the same job or a conflict
records   what goes to the ledger and what comes back
ports     what the use case needs from outside
judging   admit, reject or bury: what becomes of a message
calling   one job on its way through the provider: attempts and pauses
settling  what a job comes to, and the decision that is recorded
verify    the use case: accept, dial, decide about lost jobs
"""
