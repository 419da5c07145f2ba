"""The rules of a job: what it is, what may happen to it, and the ports to the outside. The core knows no adapter.

jobs            a job as producers send it: its fields, their checks, and its packed form
events          how a job ends, and its event in the bytes that subscribers receive
accounts        the accounts file: API keys, limits and webhooks
endpoints       webhooks in that file, with their secrets
current         the accounts that apply at the moment, and how two versions of the file differ
account_fields  the fields of an account, each with its check
untraced        no spans, where jobs are not traced
trace_context   the trace that a job belongs to, as it travels in messages
shards          the parts into which all state is divided, by account
limits          rate limits as arithmetic
retry           how often a job may be tried, and the pauses between
repeats         whether a job under a known id is the same job or a conflict
sight           what a look at the store tells of the work that there is
records         the values that go to the ledger and come back, among them why a job waits (`Reason`)
figures         what the store and the broker tell of what is in them and of themselves
fleet           what workers tell of themselves, and how many are wanted
forecast        when Redis will be full, by how its memory has grown
costs           what jobs, accounts and workers cost: the measured figures
sizing          what an installation needs for a load, computed from these
estimate        the same as a list, with what each figure follows from
ceilings        which limit an installation meets first, and at which rate
ports           what the use case needs from outside
judging         whether a message is a valid job, a rejected one, a cancel, or a dead letter
canceling       takes back jobs that wait
making_good     what is told of a store that went back in time, while it is made good
cancels         what producers ask for with a cancel, and what the ledger says of it
notices         events for producers that end no job
calling         the call of one leased job: its gate, its attempts and the pauses between
settling        the decision about a leased job, handed over to be recorded
verify          the use case: Reception accepts, Calls dials, Overdue decides about expired and lost jobs
"""
