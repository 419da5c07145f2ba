"""The table of faults and the pages they cause, made with real servers: `python -m ops.pages`, or `make pages`.

scaling     divides every duration of the shipped Prometheus and Alertmanager files by one factor
monitoring  Prometheus, Alertmanager, and the pager that takes their notifications
load        a steady load of jobs
scene       Redis, RabbitMQ, the provider, two workers, and all of that
fault       what a fault is: how to put it in, and which alert must tell of it
servers     faults of workers, Redis and RabbitMQ
calls       faults of the provider and of what becomes of calls
jobs        faults of jobs, limits and webhooks, and the times without a fault
tiles       which tiles of the dashboard's first row are not green
verdict     whether the right alert came in time, and no other
trial       one fault in one scene, from quiet to quiet
table       the table in ops/pages.md
"""
