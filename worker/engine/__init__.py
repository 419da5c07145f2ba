"""The threads of a worker process, started and stopped in order; they know ports alone.

engine          all threads together
parts           how a part of the worker starts and stops
loops           a thread that takes one turn after another and survives every fault
intake          puts messages on record in batches, and then acknowledges them
batches         what has come together in a queue, as one batch
setbacks        messages at which the worker failed, and when each is tried again
dialler         the calls in flight, all in the dial thread
greenlets       many calls or deliveries in one thread
keeper          keeps the leases of jobs in hand
recorder        takes decisions to the ledger, many in one round trip
releaser        leases waiting jobs when their slots come
standing        keeps the limits of the newest accounts file in force
sweeper         ends expired jobs and decides about lost ones
backlog         stops dialling while outcomes cannot leave
couriers        the webhook deliveries in flight, all in the courier thread
consumer_watch  notices a consumer that is not connected or no longer turns
watchdog        notices threads that no longer turn
"""
