"""The Celery edge: what stands between Celery's worker and the engine."""
