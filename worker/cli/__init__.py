"""The command line: one file per command, imported only when that command is used.

program   the command group, and how every error becomes one line and an exit status
failures  what a person reads when a command fails
ending    signals that end a command
output    lines and tables for people, JSON for machines
places    where the store and the broker are
demo/     `callworker demo`: the whole path, checked from outside
dev       `callworker dev`: server, sandbox and worker in one process
run       `callworker run`: a worker
sandbox   `callworker sandbox`: the stand-in provider
enqueue   `callworker enqueue`: jobs in
given     a job's fields as people write them
jobfile   files of jobs, every line checked
jobtable  CSV tables as spreadsheets write them
fileids   ids for the lines of a file that has none
sendfile  a file of jobs on its way to the broker
sending   jobs on their way to the broker, with progress
served    what can be known of a job before it is sent
feasible  how many jobs must expire because of the rate
waiting   waits for one job to end
results   `callworker results`: events from the results queue
job       `callworker job`: where one job is
accounts  `callworker accounts`: limits and backlog; hold and resume
webhooks  `callworker webhooks`: deliveries that wait
dead      `callworker dead`: messages that no event can answer
doctor/   `callworker doctor`: settings and all that they point to
"""

from __future__ import annotations

from worker.cli.program import Program

COMMANDS = {
    "demo": "Show everything at work on this machine, end to end.",
    "dev": "Run worker, sandbox and server in one, to play with.",
    "run": "Run a worker.",
    "sandbox": "Serve the stand-in provider.",
    "enqueue": "Send jobs: one from flags, or many from a file.",
    "results": "Print what became of jobs.",
    "job": "Show one job: state, history, why it waits and until when.",
    "accounts": "Show limits and backlog; hold and resume an account.",
    "webhooks": "Show webhook deliveries that wait.",
    "dead": "Show messages that no event could answer.",
    "doctor": "Check settings and everything they point to.",
}

program = Program(
    COMMANDS,
    help="Takes call-verification jobs, has the phones rung, and tells what came of each.",
    epilog="\b\nExample:\n  callworker demo",
)


def main() -> None:
    """The console script. Ends with exit status 0, 1 (it failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    program.main()
