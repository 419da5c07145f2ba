"""`manage.py read_events`: learns from the results exchange what became of calls, until it is stopped."""

from django.core.management.base import BaseCommand

from worker.events import read


class Command(BaseCommand):
    """Run one or more of these beside the web server. They share the queue `sign-ups`, which keeps events meanwhile."""

    help = "Read the events of calls."

    def handle(self, *args: object, **options: object) -> None:
        read()
