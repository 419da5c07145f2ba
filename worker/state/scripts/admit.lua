-- Records jobs whose ids were not seen before. Leases each at once, or puts it into its account's lane.
-- Guarantees: an id has one record. A job never overtakes a ready job of its account, and jobs that come together keep their
-- order. With a 'lease' reply, the slot is taken and the intent to dial is on record. A job that waits enters its lane
-- before its record is written, so an error in between leaves no job that counts as seen and is in no lane.
-- KEYS 1 shard prefix
-- ARGV 1 lease (µs)  2 how far ahead a slot may be (µs)  3 generation of the caller's accounts file; then for each account
--      name  ttl (µs)  pace  number of its jobs that follow; and for each of these jobs
--      id  packed job  expires_at (µs) or ''  '1' if the caller can dial now, else why not: 'no_places' or 'paused'
--      name of the request, '' if it may not lease: a repeat under the same name gets the lease whose reply was lost
-- Reply: for each job in order {'seen', state, job, digest} | lease reply, see README.md | {'parked', reason, until (µs)}

-- With a longer field, Redis would store the whole record in a form several times as large (bytes).
local MAX_PACKED = 64

local lease_us, ahead_us, generation = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

-- The moment from which the next parked job may go. Jobs of equal moments would have no order in a lane, so each gets one
-- microsecond more. This does not outrun the clock: recording a job takes longer.
local ready_at = NOW

-- Loads an account for adding jobs: `ready` is true if a job in its lane could go but for the limits, `parked` holds the jobs
-- that will join the lane, `scores` and `ends` are their arguments for ZADD, `known` has the replies for repeats.
local function open_account(name, pace)
  local waiting = check('ZCARD', lane_key(name))
  local a = load_account(name, pace, generation)
  a.parked, a.scores, a.ends, a.known = {}, {}, {}, {}
  a.waiting = waiting
  a.ready = waiting > 0 and redis.call('ZRANGEBYSCORE', lane_key(name), '-inf', int(NOW), 'LIMIT', 0, 1)[1] ~= nil
  return a
end

-- Returns the job as arguments of HSET: its array, which a long job has in a key of its own instead, and its trace context.
local function as_fields(id, job)
  local line_break = string.find(job, '\n', 1, true)
  local array = line_break and string.sub(job, 1, line_break - 1) or job
  local fields = with_trace({}, line_break and string.sub(job, line_break + 1) or '')
  if #array <= MAX_PACKED then return 'job', array, unpack(fields) end
  redis.call('SET', payload_key(id), array)
  return unpack(fields)
end

-- Estimates when the next job to join the lane has its turn (µs).
local function turn(a)
  return math.max(a.tat - a.tolerance, ready_at) + (a.waiting + #a.parked) * a.interval
end

-- Says why a job waits that has a slot but no place; nil if the job only has others before it.
local function lacking(a, may_dial)
  if a.inflight >= a.concurrency then return 'concurrency' end
  if may_dial ~= '1' then return may_dial end
end

local function park(a, id, job, expires, slot, may_dial)
  local lacks = not a.hold and slot and lacking(a, may_dial)
  local why = lacks or a.hold and 'held' or 'rate_limit'
  local until_us = why == 'held' and a.probe_at or why == 'rate_limit' and turn(a) or ready_at
  local accepted, ends, n = int(ready_at + LAG), int(expires), #a.scores
  a.scores[n + 1], a.scores[n + 2] = int(ready_at), id
  a.ends[n + 1], a.ends[n + 2] = ends, id
  a.parked[#a.parked + 1] = {
    id = id, job = job, accepted = accepted, expires = ends, reason = lacks and 'lacks' or 'why', word = why,
  }
  a.ready, ready_at = true, ready_at + 1
  return {'parked', why, told(until_us)}
end

local function go_or_park(a, id, job, expires, may_dial, call)
  local slot, tat = next_slot(a, NOW, ahead_us)
  if not slot or a.hold or a.ready or may_dial ~= '1' or a.inflight >= a.concurrency or expires <= NOW + LAG then
    return park(a, id, job, expires, slot, may_dial)
  end
  check('ZCARD', LEASES)
  local accepted, ends = int(NOW + LAG), int(expires)
  local row = {[ACCEPTED] = accepted, [EXPIRES] = ends, [JOB] = job, [ACCOUNT] = a.name}
  if a.bound then note_bound(a, NOW) end
  return begin(id, row, a, slot, tat, lease_us, call,
               'account', a.name, 'accepted', accepted, 'expires', ends, as_fields(id, job))
end

-- Adds one job. An id that comes twice in one call is a repeat of the first.
local function add(a, id, job, ...)
  if a.known[id] then return a.known[id] end
  local reply = go_or_park(a, id, job, ...)
  a.known[id] = {'seen', reply[1] == 'lease' and 'dialling' or 'waiting', job, ''}
  return reply
end

local function close_account(a)
  if #a.parked > 0 then
    -- This is the first write for these jobs, and the only one that a key of another type could refuse.
    ask('ZADD', EXPIRY, unpack(a.ends))
    redis.call('ZADD', lane_key(a.name), unpack(a.scores))
  end
  for _, p in ipairs(a.parked) do
    redis.call('HSET', job_key(p.id), 'account', a.name, 'accepted', p.accepted, 'expires', p.expires,
               'state', 'waiting', p.reason, p.word, as_fields(p.id, p.job))
  end
  -- An account without a lane is in no index.
  if a.waiting > 0 or #a.parked > 0 then refresh(a) end
end

local reply, at = {}, 4

local function next_arguments(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

-- Returns the jobs of one account, each with its reply if its id is on record. Reads all before anything is written.
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
      seen = add(a, id, job, tonumber(expires) or NOW + LAG + tonumber(ttl), may_dial, call)
    end
    reply[#reply + 1] = seen
  end
  if a then close_account(a) end
end
return reply
