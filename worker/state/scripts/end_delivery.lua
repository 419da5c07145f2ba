-- Concludes one attempt of a webhook delivery: struck off, or due again after a pause.
-- KEYS 1 shard prefix
-- ARGV 1 member  2 account  3 pause (µs), '' when it is over
-- Reply: 1, or 0 where another worker concluded it first

if redis.call('ZREM', DELIVERIES, ARGV[1]) == 0 then return 0 end
if ARGV[3] == '' then
  if redis.call('HINCRBY', PENDING, ARGV[2], -1) <= 0 then redis.call('HDEL', PENDING, ARGV[2]) end
  return 1
end
local id, endpoint, attempt = string.match(ARGV[1], '^([^|]+)|([^|]+)|(%d+)$')
redis.call('ZADD', DELIVERIES, int(NOW + tonumber(ARGV[3])), id .. '|' .. endpoint .. '|' .. int(attempt + 1))
return 1
