"""The ways out of terminal events: to the results queue and to the accounts' webhooks, both at least once.

ports      an event on its way out, a webhook delivery, and the ports that relay and courier use
relay      carries events from the outbox to the results queue, in order
results    publishes events on the exchange `results`
reader     reads events from the queue `results`, for people at a terminal
courier    one delivery: finds the endpoint, sends, and decides what becomes of it
directory  finds an endpoint by the key under which a delivery waits
slots      lets a request out within the slot of its endpoint's rate
excerpts   what is kept of an answer's body
telling    tells log and metrics what became of a delivery
webhooks   one signed POST, with all its headers
guarding   warns of webhooks whose address is not allowed
signing    Standard Webhooks signatures
secrets    the secrets that sign now, from files that may change
schedule   how long until the next attempt
"""
