-- Leases what nobody else will end: waiting jobs that expired, and jobs whose worker was lost with its lease.
-- A lost intent to dial counts as a request that may have rung. Such a lease gives no right to dial, and the holder of the one
-- that was lost may still speak: its fence is kept as `judged`.
-- KEYS shard prefixes
-- ARGV 1 most of each  2 lease (µs)
-- Reply: list of lease replies

local most_lost, most_expired = tonumber(ARGV[1]), tonumber(ARGV[1])
local lease = tonumber(ARGV[2])
local reply = {}

local function take(id, a, due)
  redis.call('HINCRBY', job_key(id), 'fence', 1)
  redis.call('HSET', job_key(id), 'state', 'settling')
  redis.call('ZADD', LEASES, int(NOW + lease), id)
  reply[#reply + 1] = lease_reply(id, due, NOW, 0, false)
  refresh(a)
end

for _, shard in ipairs(KEYS) do
  enter(shard)
  local overdue = redis.call('ZRANGEBYSCORE', LEASES, '-inf', int(NOW), 'LIMIT', 0, most_lost)
  most_lost = most_lost - #overdue
  for _, id in ipairs(overdue) do
    local f = redis.call('HMGET', job_key(id), 'state', 'account', 'fence')
    if f[1] ~= 'dialling' and f[1] ~= 'settling' then
      -- No record: someone deleted it. It must not stop the others from being reclaimed.
      redis.call('ZREM', LEASES, id)
    else
      local a = load_account(f[2])
      if f[1] == 'dialling' then
        set_inflight(a, a.inflight - 1)
        redis.call('HINCRBY', job_key(id), 'sent', 1)
        redis.call('HINCRBY', job_key(id), 'perhaps', 1)
        redis.call('HSET', job_key(id), 'judged', f[3])
        note(id, 'lost')
      end
      take(id, a, 'lost')
    end
  end

  local expired = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', int(NOW + LAG), 'LIMIT', 0, most_expired)
  most_expired = most_expired - #expired
  for _, id in ipairs(expired) do
    redis.call('ZREM', EXPIRY, id)
    local name = redis.call('HGET', job_key(id), 'account')
    if name then
      redis.call('ZREM', lane_key(name), id)
      take(id, load_account(name), 'expired')
    end
  end
end
return reply
