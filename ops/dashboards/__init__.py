"""The Grafana dashboards, as code: `make dashboards` writes them to ops/grafana/dashboards.

panels.py     what a panel of each kind looks like: tile, lines, heatmap, table
frame.py      what all dashboards have: variables, links to each other, annotations
promql.py     the phrases that their queries are made of
tiles.py      tiles that several of them show
now.py        the overview's first row: what is wrong at this moment
overview.py   all jobs on their way, and who is worst off
account.py    one account
worker.py     one worker
capacity.py   whether workers, Redis and the broker are enough
webhooks.py   webhooks and their endpoints
__main__.py   writes the files

Two rules: a figure that tells of all workers is the same at each, so it is never summed over workers; and no panel is
green unless a worker has said that all is well.
"""
