"""What the database keeps of sign-ups."""

from django.db import models


class SignUp(models.Model):
    """A verification, see `verification.Verification`."""

    id = models.CharField(primary_key=True, max_length=40)
    country = models.CharField(max_length=3)
    phone = models.CharField(max_length=15)
    call = models.PositiveIntegerField()
    sent_at = models.FloatField()
    tries = models.PositiveIntegerField()
    state = models.CharField(max_length=20)
    reason = models.CharField(max_length=64, blank=True)


class Number(models.Model):
    """A number that was called. Its row is what two requests for the same number wait for."""

    country = models.CharField(max_length=3)
    phone = models.CharField(max_length=15)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["country", "phone"], name="one_row_a_number"),)


class Call(models.Model):
    """One call to a number."""

    number = models.ForeignKey(Number, on_delete=models.CASCADE)
    sent_at = models.FloatField(db_index=True)
