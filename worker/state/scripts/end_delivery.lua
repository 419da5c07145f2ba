-- Concludes one attempt of a webhook delivery: struck off, or due again after a pause.
-- Guarantees: the record that holds the event outlives the pause by an hour.
-- KEYS 1 shard prefix
-- ARGV 1 member  2 account  3 pause (µs), '' when it is over
-- Reply: 1, or 0 where another worker concluded it first

check('ZCARD', DELIVERIES)
check('HLEN', PENDING)
if redis.call('ZREM', DELIVERIES, ARGV[1]) == 0 then return 0 end
if ARGV[3] == '' then
  if redis.call('HINCRBY', PENDING, ARGV[2], -1) <= 0 then redis.call('HDEL', PENDING, ARGV[2]) end
  return 1
end
local id, endpoint, attempt = string.match(ARGV[1], '^([^|]+)|([^|]+)|(%d+)$')
redis.call('ZADD', DELIVERIES, int(NOW + tonumber(ARGV[3])), id .. '|' .. endpoint .. '|' .. int(attempt + 1))
local needed_ms = tonumber(ARGV[3]) / 1000 + 3600000
local left_ms = redis.call('PTTL', job_key(id))
if left_ms >= 0 and left_ms < needed_ms then redis.call('PEXPIRE', job_key(id), int(needed_ms)) end
return 1
