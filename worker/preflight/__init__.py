"""What must be right before a worker may start."""
