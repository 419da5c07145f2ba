-- Leases what nobody else will end: waiting jobs that expired, and jobs whose worker was lost with its lease.
-- A lost intent to dial counts as a request that may have rung. Such a lease gives no right to dial.
-- KEYS 1 shard prefix
-- ARGV 1 most of each  2 lease (µs)  3 '1': lost jobs too, '0': only expired ones
-- Reply: list of lease replies

local most, lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = {}

local function take(id, a, due)
  redis.call('HINCRBY', job_key(id), 'fence', 1)
  redis.call('HSET', job_key(id), 'state', 'settling')
  redis.call('ZADD', LEASES, int(NOW + lease), id)
  reply[#reply + 1] = lease_reply(id, due, NOW, 0, false)
  refresh(a)
end

local overdue = ARGV[3] == '1' and redis.call('ZRANGEBYSCORE', LEASES, '-inf', int(NOW), 'LIMIT', 0, most) or {}
for _, id in ipairs(overdue) do
  local f = redis.call('HMGET', job_key(id), 'state', 'account')
  if f[1] ~= 'dialling' and f[1] ~= 'settling' then
    -- No record: someone deleted it. It must not stop the others from being reclaimed.
    redis.call('ZREM', LEASES, id)
  else
    local a = load_account(f[2])
    if f[1] == 'dialling' then
      set_inflight(a, a.inflight - 1)
      redis.call('HINCRBY', job_key(id), 'sent', 1)
      redis.call('HINCRBY', job_key(id), 'perhaps', 1)
      note(id, 'lost')
    end
    take(id, a, 'lost')
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', int(NOW), 'LIMIT', 0, most)) do
  redis.call('ZREM', EXPIRY, id)
  local name = redis.call('HGET', job_key(id), 'account')
  if name then
    redis.call('ZREM', lane_key(name), id)
    take(id, load_account(name), 'expired')
  end
end
return reply
