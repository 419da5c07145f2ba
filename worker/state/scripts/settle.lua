-- Ends jobs in hand: writes outcome, event and deliveries of each in one step, once.
-- Guarantees: whatever stops the script, the jobs before are ended whole, and all may be given again. Who may end a job: the
-- newest fence; the lease that was judged lost, see `holds`; and any lease that brings a ref, for its phone rang, even if
-- another worker is dialling by now.
-- KEYS 1 shard prefix
-- ARGV 1 how long the end is remembered (ms)  2 how long a delivered event may be replayed (ms); then for each job
--      id  fence  account  status  event  endpoint keys, separated by spaces  requests that perhaps rang
--      '1' if a probe got through, so that the account's hold ends  digest (see worker/core/repeats.py)  the event's id
--      the job's trace context, or ''
-- Reply: for each job in order 1; 2 if a job that waited for this one's place in flight can go now; 0 if the fence may no
-- longer decide and nothing was changed; 3 if a key of another type stopped it and nothing was changed. The same event
-- again, whose reply was lost, is 1.

local retention_ms, replay_ms, ARGV_OF_A_JOB = ARGV[1], ARGV[2], 11

local accounts = {}

local function account(name)
  accounts[name] = accounts[name] or load_account(name)
  return accounts[name]
end

-- The calls of accounts that are not held, and the most that they may have.
local calls, most_calls = {}, {}

-- Returns whether the end of a call of the account changes nothing but the number of its calls: it is not held, and has a
-- place free already. Then little is read of it.
local function has_room(name)
  if accounts[name] then return false end
  if not calls[name] then
    local pace, inflight, hold = unpack(ask('HMGET', limit_key(name), 'pace', 'inflight', 'hold'))
    local concurrency = string.match(pace or '', '^%d+ %d+ %d+ %d+ (%d+)')
    calls[name], most_calls[name] = tonumber(inflight or 0), hold and 0 or tonumber(concurrency or 0)
  end
  return calls[name] > 0 and calls[name] < most_calls[name]
end

local function may_settle(fence, status, newest, state, judged)
  if newest == fence and in_hand(state) then return true end
  local open = in_hand(state) or state == 'waiting'
  return open and (judged == fence and state ~= 'dialling' or status == 'placed' and tonumber(fence) < tonumber(newest or 0))
end

-- Returns whether the job ended with this event before. Two decisions under one lease have events of the same id.
local function has_ended(id, status, event_id)
  local claim = ask('GET', end_key(id))
  local as = claim and string.match(claim, '^%S+ (%S+) ')
  return as == status and string.sub(claim, -#event_id - 1) == ' ' .. event_id
end

local function settle(id, fence, name, status, event, endpoints, perhaps, got_through, digest, event_id, trace)
  local newest, state, judged, history, why, lacks, accepted, conflicts, conflict_at = unpack(ask('HMGET', job_key(id),
    'fence', 'state', 'judged', 'history', 'why', 'lacks', 'accepted', 'conflicts', 'conflict_at'))
  if not may_settle(fence, status, newest, state, judged) then return has_ended(id, status, event_id) and 1 or 0 end

  local late = newest ~= fence
  local a = (late or state ~= 'dialling' or not has_room(name)) and account(name)
  check('ZCARD', LEASES, late and EXPIRY or nil)
  check_way_out(name, endpoints)
  if late then take_back(id, name) end
  conclude(id, name, status, event, event_id, digest, retention_ms, replay_ms, endpoints,
           with_trace(kept(with_step(history, why or lacks, accepted, status), perhaps, conflicts, conflict_at), trace))
  if not a then
    redis.call('ZREM', LEASES, id)
    calls[name] = redis.call('HINCRBY', limit_key(name), 'inflight', -1)
    return 1
  end
  local full, held = release(id, a, state), a.hold
  if got_through == '1' and a.probe_at > 0 then
    redis.call('HDEL', limit_key(name), 'hold', 'probe_at', 'probes', 'bound')
    a.hold, a.bound = nil, nil
  end
  -- One more free place changes when the account can go only if it had none free, or waits for its probe.
  if full or held or late then refresh(a) end
  return full and 2 or 1
end

local reply = {}
for at = 3, #ARGV, ARGV_OF_A_JOB do
  local _, word = apart(settle, unpack(ARGV, at, at + ARGV_OF_A_JOB - 1))
  reply[#reply + 1] = word or 3
end
return reply, WRONG
