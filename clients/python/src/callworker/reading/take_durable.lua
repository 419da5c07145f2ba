-- Takes the oldest event from a list that several readers share.
--
-- Guarantees: an event is in the list or held by one reader. A reader that does not come back within its lease has
-- lost what it held, which goes back to the old end of the list.
--
-- KEYS[1]  the list
-- KEYS[2]  hash: reader -> the event that it holds
-- KEYS[3]  sorted set: reader -> when its lease ends, in milliseconds
-- ARGV[1]  the reader
-- ARGV[2]  its lease, in milliseconds
-- ARGV[3]  what it does with the event that it holds: "done" removes it; "again" and "leave" give it back
--
-- Returns the next event, or nil: there is none, or the reader leaves.
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local reader = ARGV[1]

local function release(name, done)
    local event = redis.call('HGET', KEYS[2], name)
    if event then
        if not done then
            redis.call('RPUSH', KEYS[1], event)
        end
        redis.call('HDEL', KEYS[2], name)
        redis.call('ZREM', KEYS[3], name)
    end
end

release(reader, ARGV[3] == 'done')
for _, lost in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now_ms)) do
    release(lost, false)
end
if ARGV[3] == 'leave' then
    return false
end
local event = redis.call('RPOP', KEYS[1])
if event then
    redis.call('HSET', KEYS[2], reader, event)
    redis.call('ZADD', KEYS[3], now_ms + ARGV[2], reader)
end
return event
