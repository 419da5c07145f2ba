"""The command line: one file per command, imported only when that command is used."""

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
