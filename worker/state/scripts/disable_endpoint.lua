-- Disables an endpoint on an operator's order, with an event on the results queue.
-- Guarantees: what waits for it is kept. An endpoint that is disabled already stays as it is, and no event is written.
-- KEYS 1 shard prefix
-- ARGV 1 destination  2 reason, a word  3 id of the installation  4 time of the event
-- Reply: '' or why the endpoint was disabled before

local dest, reason, installation, at = unpack(ARGV)

check('LLEN', OUTBOX)
local e = load_endpoint(dest)
if e.disabled ~= '' then return e.disabled end
disable(e, reason, {installation, at})
refresh_endpoint(e)
return ''
