"""How terminal events leave: onto the results queue, and to the accounts' webhooks. Both at least once.

results.py   events out to exchange `results`
reader.py    events back from queue `results`, for people
ports.py     a webhook delivery, and what the courier needs from outside
courier.py   one delivery: look up, send, put on record
webhooks.py  one POST
deadline.py  an HTTP session that no subscriber can hold up
signing.py   Standard Webhooks signatures
schedule.py  how long until the next try
"""
