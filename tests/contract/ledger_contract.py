"""What every ledger promises: one suite for the one in memory and the one on Redis."""

from __future__ import annotations

from tests.contract.admission_contract import AdmissionContract, RejectContract
from tests.contract.cancel_contract import CancelContract
from tests.contract.in_hand_contract import HoldContract, InHandContract
from tests.contract.reclaim_contract import ReclaimContract
from tests.contract.release_contract import ReleaseContract


class LedgerContract(
    AdmissionContract,
    ReleaseContract,
    InHandContract,
    HoldContract,
    ReclaimContract,
    RejectContract,
    CancelContract,
):
    """All promises of `ports.Ledger`. A subclass gives the fixture `bench`."""
