"""The threads of a worker: intake, dial thread, releaser, sweeper, relay, couriers."""
