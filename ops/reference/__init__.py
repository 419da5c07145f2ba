"""Writes the parts of docs/reference that come from the code: `python -m ops.reference FOLDER`.

A page has fixed text, and sections between `<!-- from the code: NAME -->` and `<!-- end -->` that are replaced each
time. `tests/ops/test_docs_reference.py` fails where a page differs from the code.

sections  finds the sections of a page and fills them
tables    Markdown tables
settings  the settings, from worker/settings.py
commands  the commands, from the definitions that click has of them
metrics   the metrics, from a registry that is filled as a worker's is
accounts  the fields of the accounts file, from the models of worker/core/accounts.py
errors    the provider's error table, and the causes of failed requests
__main__  writes the pages
"""
