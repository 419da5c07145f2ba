-- Says that filed messages are still in a worker's hands, as if they were filed now.
-- Guarantees: what was acknowledged or put back meanwhile is not filed again.
-- KEYS 1 sorted set of the tags of unacknowledged messages by time
-- ARGV tags
-- Reply: nothing

local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], 'XX', now, tag) end
