-- Leases what nobody else will end: waiting jobs that expired, and jobs whose worker was lost with its lease.
-- A lost intent to dial counts as a request that may have rung. Such a lease gives no right to dial, and the holder of the one
-- that was lost may still speak: its fence is kept as `judged`.
-- KEYS shard prefixes
-- ARGV 1 most of each  2 lease (µs)  3 a worker's lease (µs): none has run out before the store's clock has gone for so long
-- Reply: list of lease replies

local most_lost, most_expired = NOW - BEGAN < tonumber(ARGV[3]) and 0 or tonumber(ARGV[1]), tonumber(ARGV[1])
local lease = tonumber(ARGV[2])
local reply = {}

-- Leases the job, whose fields are `f`, to the caller; `...` are further fields of the record.
local function take(id, f, a, due, ...)
  f[1] = int((f[1] or 0) + 1)
  redis.call('HSET', job_key(id), 'fence', f[1], 'state', 'settling', ...)
  redis.call('ZADD', LEASES, int(NOW + lease), id)
  refresh(a)
  reply[#reply + 1] = lease_of(f, id, due, NOW, 0, false)
end

local function take_lost(id)
  local f = fields_for_lease(id)
  if not in_hand(f[12]) then
    -- No record: someone deleted it. It must not stop the others from being reclaimed.
    redis.call('ZREM', LEASES, id)
    return
  end
  local a = load_account(f[10])
  if f[12] == 'settling' then return take(id, f, a, 'lost') end
  set_inflight(a, a.inflight - 1)
  f[4], f[6] = int((f[4] or 0) + 1), int((f[6] or 0) + 1)
  take(id, f, a, 'lost', 'sent', f[4], 'perhaps', f[6], 'judged', f[1],
       'history', with_step(f[11], f[7], f[2], 'lost'))
end

local function take_expired(id)
  local f = fields_for_lease(id)
  local a = f[10] and load_account(f[10])
  check('ZCARD', LEASES)
  redis.call('ZREM', EXPIRY, id)
  if a then
    redis.call('ZREM', lane_key(a.name), id)
    take(id, f, a, 'expired')
  end
end

-- What of `index` is due by `now`, at most `most`, each by itself; how many.
local function take_each(index, now, most, step)
  local due = ask('ZRANGEBYSCORE', index, '-inf', int(now), 'LIMIT', 0, most)
  for _, id in ipairs(due) do
    if not apart(step, id) then redis.call('ZADD', index, int(now + PUT_OFF), id) end
  end
  return #due
end

for _, shard in ipairs(KEYS) do
  enter(shard)
  local _, lost = apart(take_each, LEASES, NOW, most_lost, take_lost)
  local _, expired = apart(take_each, EXPIRY, NOW + LAG, most_expired, take_expired)
  most_lost, most_expired = most_lost - (lost or 0), most_expired - (expired or 0)
end
return reply, WRONG
