-- Concludes one attempt of a webhook delivery: removes the delivery, or schedules the next attempt after a pause.
-- Guarantees: an attempt is concluded once, whatever happens to its lease. The record with the event outlives the pause by an
-- hour.
-- KEYS 1 shard prefix
-- ARGV 1 member of `deliveries`  2 account  3 pause (µs), '' if the delivery is over
-- Reply: 1, or 0 if another worker concluded the attempt first

local member, account, pause_us = ARGV[1], ARGV[2], tonumber(ARGV[3])

check('ZCARD', DELIVERIES)
check('HLEN', PENDING)
if redis.call('ZREM', DELIVERIES, member) == 0 then return 0 end
if not pause_us then
  if redis.call('HINCRBY', PENDING, account, -1) <= 0 then redis.call('HDEL', PENDING, account) end
  return 1
end
local id, endpoint, attempt = string.match(member, '^([^|]+)|([^|]+)|(%d+)$')
redis.call('ZADD', DELIVERIES, int(NOW + pause_us), id .. '|' .. endpoint .. '|' .. int(attempt + 1))
local needed_ms = pause_us / 1000 + 3600000
local left_ms = redis.call('PTTL', job_key(id))
if left_ms >= 0 and left_ms < needed_ms then redis.call('PEXPIRE', job_key(id), int(needed_ms)) end
return 1
