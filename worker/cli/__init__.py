"""The command line: one file or folder per command, imported only when that command is used. A folder has its own map.

program    the command group, which turns every error into one line and an exit status
failures   the line that a person reads when a command fails
ending     signals that end a command
audited    puts acts of operators on the audit trail
moments    times and spans as people write them
output     lines and tables for people, JSON for machines
places     the addresses of the store and the broker
demo/      `callworker demo`: the whole path, checked from outside
dev        `callworker dev`: server, sandbox and worker in one process
run        `callworker run`: a worker
sandbox    `callworker sandbox`: the stand-in provider
enqueue    `callworker enqueue`: sends jobs
given      a job's fields as people write them
jobfile    files of jobs, every line checked
jobtable   CSV tables as spreadsheets write them
fileids    ids for lines without an id
sendfile   sends a file of jobs
sending    sends jobs to the broker, with progress
traced     exports the spans of a command that sends jobs
served     checks of a job before it is sent
feasible   how many jobs must expire because of the rate
waiting    waits for one job to end
results    `callworker results`: events from the results queue
job        `callworker job`: the state of one job
cancel     `callworker cancel`: takes back a job that waits
accounts   `callworker accounts`: limits and backlog; hold and resume
webhooks/  `callworker webhooks`: endpoints, their deliveries and secrets, and events for a receiver on trial
dead       `callworker dead`: messages that no event can answer
drain      `callworker drain`: stops intake and dialling everywhere
restore    `callworker restore`: tells a restored state which jobs have ended
audit      `callworker audit`: what operators did
size       `callworker size`: what a load needs, and which limit it meets first
doctor/    `callworker doctor`: checks the settings and everything that they point to
"""

from __future__ import annotations

from worker.cli.program import Program

COMMANDS = {
    "demo": "Show the whole system at work on this machine.",
    "dev": "Run a worker, a sandbox provider and a server to try things out.",
    "run": "Run a worker.",
    "sandbox": "Run the stand-in provider.",
    "enqueue": "Send one job from flags, or many from a file.",
    "results": "Print the events of finished jobs.",
    "job": "Show one job: its state, its history, and why it waits.",
    "cancel": "Take back a job that waits, without a call.",
    "accounts": "Show limits and backlog; hold or resume an account.",
    "webhooks": "Show, test and enable webhooks; replay events; rotate secrets.",
    "dead": "Show, replay or drop messages that no event could answer.",
    "drain": "Have all workers take no jobs in and dial nothing.",
    "restore": "Tell a restored Redis which jobs have ended since its backup.",
    "audit": "Show who did what by commands, when, and why.",
    "size": "Compute what a load needs, and what breaks first.",
    "doctor": "Check the settings and everything they point to.",
}

program = Program(
    COMMANDS,
    help="Take call-verification jobs, place the calls, and report the outcome of each.",
    epilog="\b\nExample:\n  callworker demo",
)


def main() -> None:
    """Run the console script. Exits with 0, 1 (it failed), 2 (wrong usage) or 130 (Ctrl-C)."""
    program.main()
