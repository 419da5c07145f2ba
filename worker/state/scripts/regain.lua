-- The leases that a call was given whose reply was lost.
-- KEYS shard prefixes
-- ARGV 1 the call's name
-- Reply: list of lease replies

local reply = {}
for _, shard in ipairs(KEYS) do
  enter(shard)
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    reply[#reply + 1] = unheard(id, ARGV[1])
  end
end
return reply
