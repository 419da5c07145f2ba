"""What callworker costs and how fast it is, beside other Python queues on the same servers: `make bench`."""
