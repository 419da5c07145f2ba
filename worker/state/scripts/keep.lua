-- Has the leases of a worker that lives last as long again, from now.
-- Guarantees: a lease whose fence is old, or whose job has ended, is left as it is.
-- KEYS 1 shard prefix
-- ARGV 1 lease (µs); then for each job  id  fence
-- Reply: nothing

local function keep(id, fence)
  local f = ask('HMGET', job_key(id), 'fence', 'state')
  check('ZCARD', LEASES)
  if f[1] == fence and in_hand(f[2]) then redis.call('ZADD', LEASES, int(NOW + tonumber(ARGV[1])), id) end
end

for at = 2, #ARGV, 2 do apart(keep, ARGV[at], ARGV[at + 1]) end
return nil, WRONG
