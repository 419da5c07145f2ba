"""The state that all workers share, in Redis. scripts/README.md has the map of all keys.

keys             names of keys
layout           how the state is divided, as it is stored
key_types        what each key should hold
lua              the scripts in scripts/
ledger           jobs and limits: implements `core.ports.Ledger`
remembering      the ledger of a worker that keeps a journal
journal          what this worker knows of the jobs of the last minutes
set_back         makes good what a shard lost that went back in time
last_set_back    whether that happened in the last day
admission        applications as the script `admit` takes them
refusals         jobs that end as they come
cancels          cancels as the scripts `claim` and `withdraw` take them
notices          events that end no job, as the script `tell` takes them
decisions        decisions as the scripts `settle` and `park` take them
look             when there may be something to lease
leases           leases as the scripts reply them
releases         leases of jobs that are on record, from all shards
claims           which account used an id first
conflicts        another job under an id that was used before, and its event
accounts_files   which accounts file is the newest among living workers
workers          the workers that live or were lost, and which of them serves the metrics of all
memory           the memory that Redis used in the last day
write_check      whether Redis takes writes, its memory, and how far its clock is from this machine's
offset           how Redis' clock differs from this process's clock
steady           the store's own clock, for those who only read
units            seconds and microseconds
outbox           events not yet confirmed by the results queue
refused_results  a broker that refuses events: one relay finds out, no worker dials
drains           the drain that an operator begins and ends, and what is left until it is complete
holds            holds that an operator sets and ends
job_traces       the trace contexts of ended jobs
deliveries       the lanes of webhook endpoints
endpoints        what operators do to an endpoint
endpoint_views   the state of endpoints, for people
endpoint_log     what became of each event at an endpoint
dead_letters     messages that no event can answer
told_ends        ends of jobs that a state has forgotten which was set back, from their events
audit            what operators did by commands
suspects         messages that may have crashed a worker
installation     the random id of this state, of which ids of events are made
file_ids         the secret from which ids of file lines and of events of conflicts are made
census           counts of what waits
lanes            why the jobs of a lane wait: decided once, for census and views
pause            why no worker dials at the moment
views            reads one job's story
job_view         what people see of it
job_webhooks     what became of its event at each endpoint
"""
