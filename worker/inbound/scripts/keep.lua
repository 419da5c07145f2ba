-- Reports that a worker still has filed messages: they count as filed now.
-- Guarantees: a message that was acknowledged or put back meanwhile is not filed again.
-- KEYS 1 sorted set of the tags of unacknowledged messages by time
-- ARGV 1… tags
-- Reply: nothing

local index = KEYS[1]
local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
for _, tag in ipairs(ARGV) do redis.call('ZADD', index, 'XX', now, tag) end
