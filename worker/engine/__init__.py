"""The threads of a worker: intake, dial threads, releaser, sweeper, relay, couriers."""
