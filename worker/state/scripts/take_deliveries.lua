-- Leases the webhook deliveries that are due; one that is not concluded in time falls due again.
-- KEYS 1 shard prefix
-- ARGV 1 most  2 lease (µs)
-- Reply: list of {member, account, event}

local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', DELIVERIES, '-inf', int(NOW), 'LIMIT', 0, tonumber(ARGV[1]))) do
  local f = redis.call('HMGET', job_key(string.match(member, '^[^|]+')), 'account', 'event')
  if f[2] then
    redis.call('ZADD', DELIVERIES, int(NOW + tonumber(ARGV[2])), member)
    reply[#reply + 1] = {member, f[1], f[2]}
  else
    -- The record outlived its retention; nothing is left to deliver.
    redis.call('ZREM', DELIVERIES, member)
  end
end
return reply
