-- Leases jobs that nobody else will end: waiting jobs that expired, and jobs whose worker was lost with its lease.
-- Guarantees: a lost intent to dial counts as a request that was sent and may have rung the phone. Such a lease gives no right
-- to dial. The holder that was judged lost may still decide: its fence is kept as `judged`.
-- KEYS shard prefixes
-- ARGV 1 most of each kind  2 lease (µs)  3 a worker's lease (µs): nothing is judged lost until the store's clock has run for
--      that long
-- Reply: list of lease replies, see README.md; TURNS also has the turns of shards in which nothing was due, as texts, and as
-- 'clock' the store's clock (µs) of the shards before it

local most, lease_us, worker_lease_us = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local most_lost, most_expired = most, most
local reply = {}

-- Leases the job to the caller; `...` are further fields of the record.
local function take(id, row, a, due, ...)
  row[FENCE] = int((row[FENCE] or 0) + 1)
  redis.call('HSET', job_key(id), 'fence', row[FENCE], 'state', 'settling', ...)
  redis.call('ZADD', LEASES, int(NOW + lease_us), id)
  refresh(a)
  reply[#reply + 1] = lease_reply(row, id, due, NOW, 0, false)
end

local function take_lost(id)
  local row = fields_for_lease(id)
  if not in_hand(row[STATE]) then
    -- Somebody deleted the record. That must not stop the others from being reclaimed.
    redis.call('ZREM', LEASES, id)
    return
  end
  local a = load_account(row[ACCOUNT])
  if row[STATE] == 'settling' then return take(id, row, a, 'lost') end
  set_inflight(a, a.inflight - 1)
  row[SENT], row[PERHAPS] = int((row[SENT] or 0) + 1), int((row[PERHAPS] or 0) + 1)
  take(id, row, a, 'lost', 'sent', row[SENT], 'perhaps', row[PERHAPS], 'judged', row[FENCE],
       'history', with_step(row[HISTORY], row[WHY], row[ACCEPTED], 'lost'))
end

local function take_expired(id)
  local row = fields_for_lease(id)
  local a = row[ACCOUNT] and load_account(row[ACCOUNT])
  check('ZCARD', LEASES)
  redis.call('ZREM', EXPIRY, id)
  if a then
    redis.call('ZREM', lane_key(a.name), id)
    leave_ages(id, a.name, row)
    take(id, row, a, 'expired')
  end
end

-- Takes at most `most` members of `index` that are due by `now`, each in a step of its own. Returns how many were due.
local function take_each(index, now, most, step)
  local due = ask('ZRANGEBYSCORE', index, '-inf', int(now), 'LIMIT', 0, most)
  if #due > 0 then take_turn() end
  for _, id in ipairs(due) do
    if not apart(step, id) then redis.call('ZADD', index, int(now + PUT_OFF), id) end
  end
  return #due
end

-- Reads the shard's turn if it took none, so that a worker that changes nothing knows it too.
local function read_turn()
  TURNS = TURNS or {}
  if TURNS[#TURNS - 1] == prefix then return end
  local _, turn = apart(ask, 'GET', prefix .. 'turn')
  TURNS[#TURNS + 1], TURNS[#TURNS + 2] = prefix, turn or '0'
end

for n, shard in ipairs(KEYS) do
  enter(shard)
  local judges = NOW - BEGAN >= worker_lease_us
  local _, lost = apart(take_each, LEASES, NOW, judges and most_lost or 0, take_lost)
  local _, expired = apart(take_each, EXPIRY, NOW + LAG, most_expired, take_expired)
  most_lost, most_expired = most_lost - (lost or 0), most_expired - (expired or 0)
  read_turn()
  if CLUSTER or n == #KEYS then TURNS[#TURNS + 1], TURNS[#TURNS + 2] = 'clock', int(NOW) end
end
return reply, WRONG
