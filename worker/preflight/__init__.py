"""Checks everything that must be right before a worker may start. `cli/doctor/` checks more than that.

accounts    an accounts file with all that it names
checks      everything that prevents a start, reported at once
greeting    asks the servers whether they accept this worker
open_files  the limit of open files
misspelt    environment variables with names that resemble one of ours
"""
