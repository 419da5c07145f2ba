-- Leases the webhook deliveries that are due; one that is not concluded in time falls due again.
-- KEYS shard prefixes
-- ARGV 1 most  2 lease (µs)
-- Reply: list of {number of the shard among KEYS from 0, member, account, event}

local reply = {}
local most = tonumber(ARGV[1])

local function take(n, member)
  local f = redis.call('HMGET', job_key(string.match(member, '^[^|]+')), 'account', 'event')
  if f[2] then
    redis.call('ZADD', DELIVERIES, int(NOW + tonumber(ARGV[2])), member)
    reply[#reply + 1] = {n, member, f[1], f[2]}
  else
    -- The record outlived its retention; nothing is left to deliver.
    redis.call('ZREM', DELIVERIES, member)
  end
end

for n, shard in ipairs(KEYS) do
  enter(shard)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', DELIVERIES, '-inf', int(NOW), 'LIMIT', 0, most - #reply)) do
    take(n - 1, member)
  end
end
return reply
