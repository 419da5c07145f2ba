-- Takes the oldest events from the list of one reader's own.
--
-- Guarantees: each event is returned once. The list stays, with the entry at its old end that is no message.
--
-- KEYS[1]  the list
-- ARGV[1]  how many events at most
-- ARGV[2]  how long the list outlives this look, in milliseconds
--
-- Returns the events, newest first, or nil if the list is gone.
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then
    return false
end
local rows = redis.call('LRANGE', KEYS[1], -1 - ARGV[1], -2)
if #rows > 0 then
    local placeholder = redis.call('LINDEX', KEYS[1], -1)
    redis.call('LTRIM', KEYS[1], 0, -2 - #rows)
    redis.call('RPUSH', KEYS[1], placeholder)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return rows
