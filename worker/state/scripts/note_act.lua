-- Puts an act of an operator on the audit trail, stamped by Redis' own clock, and removes the oldest entries beyond the bound.
-- Guarantees: an entry that was confirmed is there until enough newer ones have come. A full Redis, or a key of another type,
-- refuses the entry before anything has changed.
-- KEYS 1 callworker:audit
-- ARGV 1 the entry, as a JSON object without its time  2 most entries
-- Reply: nothing

local trail = KEYS[1]
local entry, most = ARGV[1], tonumber(ARGV[2])

local clock = redis.call('TIME')
local at_ms = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('LPUSH', trail, '{"at_ms": ' .. at_ms .. ', ' .. string.sub(entry, 2))
redis.call('LTRIM', trail, 0, most - 1)
