-- Has the leases of a worker that lives last as long again, from now.
-- Guarantees: a lease whose fence is old, or whose job has ended, is left as it is.
-- KEYS 1 shard prefix
-- ARGV 1 lease (µs); then for each job  id  fence
-- Reply: nothing

for at = 2, #ARGV, 2 do
  local f = redis.call('HMGET', job_key(ARGV[at]), 'fence', 'state')
  if f[1] == ARGV[at + 1] and in_hand(f[2]) then
    redis.call('ZADD', LEASES, int(NOW + tonumber(ARGV[1])), ARGV[at])
  end
end
