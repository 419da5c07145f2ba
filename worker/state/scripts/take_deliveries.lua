-- Leases webhook deliveries that are due.
-- Guarantees: a delivery is given to one worker until its lease ends. One that is not concluded by then is due again.
-- KEYS shard prefixes; the deliveries of the first shard come first
-- ARGV 1 most deliveries  2 lease (µs)
-- Reply: list of {place of the shard in KEYS, from 0; member; account; event}

local most, lease_us = tonumber(ARGV[1]), tonumber(ARGV[2])

local reply = {}

local function take(place, member)
  local account, event = unpack(ask('HMGET', job_key(string.match(member, '^[^|]+')), 'account', 'event'))
  if event then
    redis.call('ZADD', DELIVERIES, int(NOW + lease_us), member)
    reply[#reply + 1] = {place, member, account, event}
  else
    -- The record's retention is over, so there is nothing left to deliver.
    redis.call('ZREM', DELIVERIES, member)
  end
end

local function take_from(place, shard)
  enter(shard)
  for _, member in ipairs(ask('ZRANGEBYSCORE', DELIVERIES, '-inf', int(NOW), 'LIMIT', 0, most - #reply)) do
    if not apart(take, place, member) then put_off(DELIVERIES, member) end
  end
end

for n, shard in ipairs(KEYS) do apart(take_from, n - 1, shard) end
return reply, WRONG
