"""Keeps verifications in the site's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields

from django.db import transaction

from signup.models import Call, Number, SignUp
from verification import Unknown, Verification

NAMES = [field.name for field in fields(Verification)]


class Store:
    """Implements `verification.Store`, and within a transaction `verification.Kept`."""

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        with transaction.atomic():
            yield self

    def get(self, verification_id: str) -> Verification:
        try:
            row = SignUp.objects.select_for_update().get(id=verification_id)
        except SignUp.DoesNotExist:
            raise Unknown from None
        return Verification(**{name: getattr(row, name) for name in NAMES})

    def save(self, verification: Verification) -> None:
        SignUp.objects.update_or_create(id=verification.id, defaults=asdict(verification))

    def calls_to(self, country: str, phone: str, since: float) -> list[float]:
        number = self._number(country, phone)
        return list(
            number.call_set.filter(sent_at__gt=since).order_by("sent_at").values_list("sent_at", flat=True)
        )

    def note_call(self, verification: Verification) -> None:
        number = self._number(verification.country, verification.phone)
        Call.objects.create(number=number, sent_at=verification.sent_at)

    def _number(self, country: str, phone: str) -> Number:
        number, _ = Number.objects.select_for_update().get_or_create(country=country, phone=phone)
        return number
