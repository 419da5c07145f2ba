"""How terminal events leave: to the results queue and to the accounts' webhooks, both at least once.

ports     an event on its way out, a webhook delivery, and what relay and courier need
relay     outbox to results queue, in order
results   events out to exchange `results`
reader    events back from queue `results`, for people
courier   one delivery: look up, send, put on record
webhooks  one signed POST
signing   Standard Webhooks signatures
schedule  how long until the next attempt
"""
