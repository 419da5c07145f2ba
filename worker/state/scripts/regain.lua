-- The leases that a call was given whose reply was lost.
-- KEYS shard prefixes
-- ARGV 1 the call's name
-- Reply: list of lease replies

local reply = {}
local function regain_from(shard)
  enter(shard)
  for _, id in ipairs(ask('ZRANGE', LEASES, 0, -1)) do
    local _, lease = apart(unheard, id, ARGV[1])
    reply[#reply + 1] = lease
  end
end

for _, shard in ipairs(KEYS) do apart(regain_from, shard) end
return reply, WRONG
