"""The Celery app: `celery -A worker.app worker`, and `app.send_task("calls.verify", kwargs=…)` for producers."""

from __future__ import annotations

from worker.celery_edge.application import make_app
from worker.celery_edge.starting import settings_or_exit

app = make_app(settings_or_exit())
