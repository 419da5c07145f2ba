-- Prelude, in a cluster, of scripts that go over shards: Redis allows only the first prefix as a key.
-- Guarantees: nothing is changed if any of the shards is not here or is on its way to another server. A script that met the first
-- key that has moved would stop halfway.
-- KEYS 1 shard prefix
-- ARGV 1 number of further prefixes, which follow; then the script's own

for _ = 1, tonumber(table.remove(ARGV, 1)) do
  local shard = table.remove(ARGV, 1)
  -- A prefix is no key, so a server that is handing over its slot refuses to look for it.
  local found = redis.pcall('EXISTS', shard)
  if type(found) == 'table' and found.err then error('TRYAGAIN ' .. shard .. ' is on another server', 0) end
  KEYS[#KEYS + 1] = shard
end
