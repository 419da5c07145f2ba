-- Records jobs that were not seen before; lets each go now or puts it into its account's lane.
-- Guarantees: one record per id; a job overtakes no ready job of its account, and jobs that come together keep their
-- order; with 'lease' the slot is taken and the intent to dial is on record; a job that waits is in its lane before it
-- is on record, so that an error in between leaves nothing that counts as seen and is in no lane.
-- KEYS 1 shard prefix
-- ARGV 1 lease (µs)  2 how far ahead a slot may lie (µs)  3 generation of the caller's accounts file; then for each account
--      name  ttl (µs)  pace  how many of its jobs follow; and for each of these
--      id  the job as packed  expires_at (µs) or ''  '1': the caller can dial now
--      the call's name: a repeat under the same name gets the lease whose reply was lost; '' where it cannot have any
-- Reply: for each job in order {'seen', state, job, digest} | {'lease', …} (see lease_reply) | {'parked', reason, until (µs)}

-- A longer field would make Redis keep the whole record in a form several times as large.
local MAX_PACKED = 64

local lease, ahead, generation = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

-- The account while jobs are added: `ready` where one in its lane could go but for the limits, `parked` what is to join
-- the lane, with `scores` and `ends` as ZADD takes them.
local function open_account(name, pace)
  local waiting = check('ZCARD', lane_key(name))
  local a = load_account(name, pace, generation)
  a.parked, a.scores, a.ends, a.known = {}, {}, {}, {}
  a.waiting = waiting
  a.ready = waiting > 0 and redis.call('ZRANGEBYSCORE', lane_key(name), '-inf', int(NOW), 'LIMIT', 0, 1)[1] ~= nil
  return a
end

-- The job as arguments of HSET; a long one goes into a key of its own.
local function as_field(id, job)
  if #job <= MAX_PACKED then return 'job', job end
  redis.call('SET', payload_key(id), job)
end

-- When the next to join the lane has its turn, counted in places.
local function turn(a)
  return math.max(a.tat - a.tolerance, NOW) + (a.waiting + #a.parked) * a.interval
end

local function park(a, id, job, expires, slot)
  local why = a.hold and 'held' or (slot and not a.ready) and 'capacity' or 'rate_limit'
  local until_us = why == 'held' and a.probe_at or why == 'rate_limit' and turn(a) or NOW
  local now, ends, n = int(NOW + LAG), int(expires), #a.scores
  a.scores[n + 1], a.scores[n + 2] = int(NOW), id
  a.ends[n + 1], a.ends[n + 2] = ends, id
  a.parked[#a.parked + 1] = {id, job, now, ends, why}
  a.ready = true
  -- Equals have no order in a lane. This does not outrun the clock: to record a job takes longer.
  NOW = NOW + 1
  return {'parked', why, told(until_us)}
end

local function go_or_park(a, id, job, expires, may_dial, call)
  local slot, tat = next_slot(a, NOW, ahead)
  if not slot or a.hold or a.ready or not may_dial or a.inflight >= a.concurrency or expires <= NOW + LAG then
    return park(a, id, job, expires, slot)
  end
  check('ZCARD', LEASES)
  local accepted, ends = int(NOW + LAG), int(expires)
  redis.call('HSET', job_key(id), 'account', a.name, 'accepted', accepted, 'expires', ends, as_field(id, job))
  return begin(id, {[2] = accepted, [3] = ends, [9] = job, [10] = a.name}, a, slot, tat, lease, call)
end

-- A job that comes twice is the first one's repeat.
local function add(a, id, job, ...)
  if a.known[id] then return a.known[id] end
  local reply = go_or_park(a, id, job, ...)
  a.known[id] = {'seen', reply[1] == 'lease' and 'dialling' or 'waiting', job, ''}
  return reply
end

local function close_account(a)
  if #a.parked > 0 then
    -- The first write for these jobs, and the only one that a wrong key could refuse.
    ask('ZADD', EXPIRY, unpack(a.ends))
    redis.call('ZADD', lane_key(a.name), unpack(a.scores))
  end
  for _, p in ipairs(a.parked) do
    redis.call('HSET', job_key(p[1]), 'account', a.name, 'accepted', p[3], 'expires', p[4],
               'state', 'waiting', 'why', p[5], as_field(p[1], p[2]))
  end
  refresh(a)
end

local reply, at = {}, 4

local function next_arguments(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

-- The jobs of one account with what is on record of each, which is read before anything is written.
local function next_jobs(count)
  local jobs = {}
  for n = 1, count do
    local id, job, expires, may_dial, call = next_arguments(5)
    local seen = as_seen(id)
    jobs[n] = {id, job, expires, may_dial, call, seen and (unheard(id, call) or seen)}
  end
  return jobs
end

while ARGV[at] do
  local name, ttl, pace, count = next_arguments(4)
  local a
  for _, one in ipairs(next_jobs(count)) do
    local id, job, expires, may_dial, call, seen = unpack(one, 1, 6)
    if not seen then
      a = a or open_account(name, pace)
      seen = add(a, id, job, tonumber(expires) or NOW + LAG + tonumber(ttl), may_dial == '1', call)
    end
    reply[#reply + 1] = seen
  end
  if a then close_account(a) end
end
return reply
