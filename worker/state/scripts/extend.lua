-- Extends the leases of a living worker: each lasts its full time again, from now.
-- Guarantees: a lease with an old fence, or of a job that has ended, is left as it is.
-- KEYS 1 shard prefix
-- ARGV 1 lease (µs); then for each job  id  fence
-- Reply: nothing

local lease_us = tonumber(ARGV[1])

local function extend(id, fence)
  local newest, state = unpack(ask('HMGET', job_key(id), 'fence', 'state'))
  check('ZCARD', LEASES)
  if newest == fence and in_hand(state) then redis.call('ZADD', LEASES, int(NOW + lease_us), id) end
end

for at = 2, #ARGV, 2 do apart(extend, ARGV[at], ARGV[at + 1]) end
return nil, WRONG
