"""Suites that several test modules share report failures as test modules do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.contract.ledger_contract")
