"""The threads of a worker process, started and stopped in order. They use ports, and know no adapter.

engine           all threads together
parts            how a part of the worker starts and stops
loops            a thread that takes one turn after another and survives every fault
intake           puts messages on record in batches, and then acknowledges them
in_hand          counts the messages that are not acknowledged yet
letters          buries messages that cannot become jobs
batches          takes what has collected in a queue as one batch
setbacks         messages that the worker failed to handle, and when each is tried again
put_off          messages whose part of the store is away, and when each is given again
dialler          the calls in flight, all in the dial thread
greenlets        many calls or deliveries in one thread
keeper           extends the leases of the jobs in hand, and holds the list of them
recorder         takes decisions to the ledger, many in one round trip
lookout          looks for work on behalf of the loops that lease
releaser         leases waiting jobs when their slots come
declared_limits  declares the limits of this worker's accounts file while it is the newest
accounts_watch   puts a changed accounts file into use
presence         reports that this worker lives, and whether it serves the metrics of all
memory_log       notes how much memory Redis uses
restorer         makes good what a store lost that went back in time
sweeper          ends expired jobs and decides about lost ones
server_health    asks again and again whether a server takes writes
draining         takes no jobs in and dials nothing while an operator drains the workers
backlog          stops dialling while outcomes cannot leave
couriers         the webhook deliveries in flight, all in the webhook thread
lines            the deliveries of this worker by endpoint: so many at once, the others in line
places           the places for deliveries, shared so that endpoints that hang leave some
consumer_watch   notices a consumer that is not connected or no longer turns
watchdog         watches over all threads; its own thread is named `vitals`
"""
