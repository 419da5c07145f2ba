-- Leases the webhook deliveries that are due; one that is not concluded in time falls due again.
-- KEYS shard prefixes
-- ARGV 1 most  2 lease (µs)
-- Reply: list of {number of the shard among KEYS from 0, member, account, event}

local reply = {}
local most = tonumber(ARGV[1])

local function take(n, member)
  local f = ask('HMGET', job_key(string.match(member, '^[^|]+')), 'account', 'event')
  if f[2] then
    redis.call('ZADD', DELIVERIES, int(NOW + tonumber(ARGV[2])), member)
    reply[#reply + 1] = {n, member, f[1], f[2]}
  else
    -- The record outlived its retention; nothing is left to deliver.
    redis.call('ZREM', DELIVERIES, member)
  end
end

local function take_from(n, shard)
  enter(shard)
  for _, member in ipairs(ask('ZRANGEBYSCORE', DELIVERIES, '-inf', int(NOW), 'LIMIT', 0, most - #reply)) do
    if not apart(take, n - 1, member) then put_off(DELIVERIES, member) end
  end
end

for n, shard in ipairs(KEYS) do apart(take_from, n, shard) end
return reply, WRONG
