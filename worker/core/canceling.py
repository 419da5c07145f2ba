"""Takes jobs back that wait: the use case of a cancel, for workers and for the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worker.core.accounts import Accounts
from worker.core.cancels import Answer, Cancel, Stays, Waiting, Withdrawal, Withdrawn
from worker.core.ports import Ledger, Traces
from worker.core.records import Later
from worker.core.untraced import UNTRACED

MOST_LOOKS = 5
"""How often a job that waits is looked at in one go. A job that moves each time is being worked on."""


@dataclass(frozen=True)
class Canceling:
    """Takes jobs back. Thread-safe."""

    ledger: Ledger
    accounts: Accounts
    traces: Traces = UNTRACED

    def take_back(self, cancels: Sequence[Cancel]) -> list[Answer | Later]:
        """End those of the jobs that wait, without a call, and return what became of each, in order.

        A job that may have rung its phone ends as unknown. If the accounts file does not have a job's account, its
        event goes to the results queue alone. Raises StoreUnavailable; any of the jobs may then have ended, and all
        may be given again.
        """
        answers: dict[int, Answer | Later] = {}
        asked: dict[int, Cancel | Withdrawal] = dict(enumerate(cancels))
        for _ in range(MOST_LOOKS):
            if not asked:
                break
            moved: dict[int, Cancel | Withdrawal] = {}
            for place, reply in zip(asked, self.ledger.cancel(list(asked.values())), strict=True):
                if isinstance(reply, Waiting):
                    moved[place] = self._withdrawal(reply)
                    answers[place] = Stays(reply.job.account, "dialling", reply.fence)
                else:
                    answers[place] = reply
            asked = moved
        return [answers[place] for place in range(len(cancels))]

    def _withdrawal(self, found: Waiting) -> Withdrawal:
        # Redis' clock may have been set back since the job was accepted.
        finished_at_us = max(found.now_us, found.accepted_at_us)
        job, accepted_at_us = found.job, found.accepted_at_us
        installation = self.ledger.installation()
        ended = Withdrawn.after(
            found.tally, job, accepted_at_us, finished_at_us, fence=found.fence, installation=installation
        )
        return Withdrawal(found, self.accounts.get(job.account), ended, self.traces.context(job.origin))
