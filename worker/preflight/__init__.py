"""What must be right before a worker may start.

checks      everything that is in the way of a start, told at once
greeting    asks the servers whether they will have this worker
open_files  the limit of open files
misspelt    environment variables whose names are near to one of ours
"""
