-- Sets the limits of an account's endpoints, see `declare.lua`.
-- Guarantees: as there. An endpoint whose key has another type keeps its limits, and the others get theirs.
-- KEYS 1 shard prefix
-- ARGV 1 generation of the accounts file; then for each endpoint its destination and its pace
-- Reply: 1

local generation = ARGV[1]

local function declare(dest, pace)
  local e = load_endpoint(dest)
  redis.call('HSET', hook_key(dest), 'pace', pace, 'generation', generation)
  redis.call('HDEL', hook_key(dest), 'absent_at')
  e.pace = pace
end

for n = 2, #ARGV, 2 do
  apart(declare, ARGV[n], ARGV[n + 1])
end
return 1, WRONG
