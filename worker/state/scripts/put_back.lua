-- Puts back what a worker knows of jobs of a shard that went back in time. See docs/decisions/0030.
-- Guarantees: what is known of a job grows, whatever the order in which workers put it back, and however often: an end stays; of two
-- leases the newer one counts; a job that waits after a lease comes after that lease. A job that has ended gets the same event
-- again. An account has no burst left, because nobody can tell what it used.
-- KEYS 1 shard prefix
-- ARGV 1 the worker, if this is all that is left of what it knows, else ''  2 how long the end is remembered (ms)
--      3 how long a delivered event may be replayed (ms); then for each job
--      id  account  pace  'waiting', 'dialling', 'settling' or 'ended'  fence  packed job  accepted (µs)  expires (µs)
--      requests sent  not rung  perhaps rung
--      if it waits: when it may go (µs from now) and why; if it is in hand: how long its lease lasts (µs) and ''
--      if it ended, else '': status  event  the event's id  digest  endpoint keys, separated by spaces  trace context
--      'canceled' if it was canceled
-- Reply: for each 1 if the record was changed, else 0; a key of another type counts as 0

local worker, retention_ms, replay_ms, ARGV_OF_A_JOB = ARGV[1], ARGV[2], ARGV[3], 20

local held = ask('GET', prefix .. 'turn') == 'held'
check('HLEN', prefix .. 'back')
if not held then take_turn() end

local accounts = {}

local function account(name, pace)
  if not accounts[name] then
    local a = load_account(name, pace ~= '' and pace or nil, 0)
    a.tat = math.max(a.tat, NOW + a.tolerance + a.interval)
    redis.call('HSET', limit_key(name), 'tat', int(a.tat))
    accounts[name] = a
  end
  return accounts[name]
end

-- The steps of a job in order: it waits, is in hand under its first lease, waits again, is in hand under its second lease …
local function step(state, fence) return 2 * tonumber(fence or 0) + (state == 'waiting' and 1 or 0) end

-- Whether the job has ended, although its record may be gone.
local function is_over(id, state)
  if state then return not (in_hand(state) or state == 'waiting') and state ~= CANCELED end
  local claim = ask('GET', end_key(id))
  return claim and string.find(claim, '^%S+ %l+ %d+ ') ~= nil
end

local function take_out(id, a, row)
  if row[STATE] == 'waiting' then
    redis.call('ZREM', lane_key(a.name), id)
    redis.call('ZREM', EXPIRY, id)
    leave_ages(id, a.name, row)
  elseif in_hand(row[STATE]) then
    release(id, a, row[STATE])
  end
end

local function write(id, a, row, state, fence, packed, accepted, expires, sent, not_rung, perhaps)
  local array, trace = string.match(packed, '^([^\n]*)\n?(.*)$')
  redis.call('SET', payload_key(id), array)
  redis.call('HDEL', job_key(id), 'job', 'why', 'lacks', 'since', 'judged')
  redis.call('PERSIST', job_key(id))
  redis.call('HSET', job_key(id), unpack(with_trace({
    'account', a.name, 'accepted', int(math.min(tonumber(accepted), TIME)), 'expires', expires, 'state', state, 'fence', fence,
    'call', '', 'sent', sent, 'not_rung', not_rung, 'perhaps', perhaps,
    'history', with_step(row[HISTORY], row[WHY], row[ACCEPTED], 'put_back'),
  }, trace)))
end

local function put(id, name, pace, state, fence, packed, accepted, expires, sent, not_rung, perhaps, span, why,
                   status, event, event_id, digest, endpoints, trace, how)
  local row = fields_for_lease(id)
  if is_over(id, row[STATE]) then return 0 end
  local open = row[STATE] and row[STATE] ~= CANCELED
  if state ~= 'ended' and open then
    local has, gets = step(row[STATE], row[FENCE]), step(state, fence)
    -- The same step again renews a lease, and takes it from a worker that was given it by the state that went back.
    if has > gets or has == gets and state == 'waiting' then return 0 end
  end
  local a = account(name, pace)
  check('ZCARD', LEASES, EXPIRY)
  check_way_out(name, endpoints)
  if open then take_out(id, a, row) end
  if state == 'ended' then
    local record = kept(with_step(row[HISTORY], row[WHY], row[ACCEPTED], status), perhaps, nil, nil)
    conclude(id, name, status, event, event_id, digest, retention_ms, replay_ms, endpoints, with_trace(record, trace),
             how ~= '' and how or nil)
    return 1
  end
  write(id, a, row, state, fence, packed, accepted, expires, sent, not_rung, perhaps)
  if state == 'waiting' then
    local ready = tonumber(span) > 0 and NOW + tonumber(span) or math.min(tonumber(accepted) - LAG, NOW)
    wait_in_lane(id, name, ready, expires, why, '')
  else
    redis.call('ZADD', LEASES, int(NOW + tonumber(span)), id)
    if state == 'dialling' then set_inflight(a, a.inflight + 1) end
  end
  return 1
end

local reply, count = {}, 0
for at = 4, #ARGV, ARGV_OF_A_JOB do
  local _, changed = apart(put, unpack(ARGV, at, at + ARGV_OF_A_JOB - 1))
  reply[#reply + 1] = changed or 0
  count = count + (changed or 0)
end
for _, a in pairs(accounts) do refresh(a) end
if held then
  redis.call('HINCRBY', prefix .. 'back', 'put', count)
  if worker ~= '' then redis.call('HSET', prefix .. 'back', 'worker:' .. worker, 'done') end
end
return reply, WRONG
