-- Has a worker take part in making good a shard that went back in time: begins the hold of the shard, hears who has put back what
-- it knows, and ends the hold. See docs/decisions/0030.
-- Guarantees: while the shard is held, nothing is begun, ended or published there. The hold ends once all workers that may know
-- something have reported, and no sooner than the shortest time; after the longest time it ends anyway. Unless all was known, the
-- jobs that may have been dialled in the time that is lost are then in hand of nobody: `reclaim` finds them as perhaps rung. The
-- turn goes on far above all that any worker remembers.
-- KEYS 1 shard prefix
-- ARGV 1 the worker  2 the newest turn that it knew, 0 if none  3 what the store's clock showed when it went back, at the latest
--      (µs, 0: not known)  4 how long before that the worker's journal is whole (µs)  5 '1' if the worker has seen
--      that changes are gone, so that the hold begins  6 the shortest time of a hold (µs)  7 the longest (µs)
--      8 most jobs that one call sets aside; then the workers that live or were just lost
-- Reply: {'held', 1 if the worker has put back what it knows, 1 if there are more jobs to set aside} | {'over', turn, jobs put back, jobs that count as perhaps rung, 1 if all
--      was known, how long it took (µs)}

local JUMP, HELD, KEPT_MS = 1000000000, 'held', 86400000
-- Most jobs of one account that count as perhaps rung: more cannot have been dialled in the time that is lost.
local MOST_OF_ACCOUNT = 10000
local MADE_GOOD, REST, TURN = prefix .. 'back', prefix .. 'back-rest', prefix .. 'turn'

local worker, known, clock, whole, has_lost = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'
local least_us, longest_us, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local function told()
  local put, rest, all, since, ended = unpack(redis.call('HMGET', MADE_GOOD, 'put', 'rest', 'all', 'since', 'ended'))
  return {'over', ask('GET', TURN) or '0', put or '0', rest or '0', all or '0', int((ended or 0) - (since or 0))}
end

local turn = ask('GET', TURN)
ask('HLEN', MADE_GOOD)
check('ZCARD', REST)
if turn ~= HELD then
  -- A hold has ended since the worker last looked, or the worker came after the loss.
  if not has_lost or tonumber(turn or 0) - known >= JUMP / 2 then return told(), WRONG end
  redis.call('DEL', MADE_GOOD, REST)
  redis.call('HSET', MADE_GOOD, 'since', int(NOW), 'found', turn or '0')
  redis.call('SET', TURN, HELD)
  -- Its owner has confirmed events that this state may not have.
  redis.call('DEL', prefix .. 'relay')
end

local since, newest, lost, short, found = unpack(redis.call('HMGET', MADE_GOOD, 'since', 'known', 'lost', 'short', 'found'))
since, newest, lost = tonumber(since), math.max(tonumber(newest or 0), known), tonumber(lost or 0)
if clock > 0 then
  lost = math.max(lost, clock - since)
  if clock - since > whole then short = '1' end
end
redis.call('HSET', MADE_GOOD, 'known', int(newest), 'lost', int(lost), 'short', short or '0')
redis.call('HSETNX', MADE_GOOD, 'worker:' .. worker, 'joined')
local done = redis.call('HGET', MADE_GOOD, 'worker:' .. worker) == 'done' and 1 or 0
for n = 9, #ARGV do redis.call('HSETNX', MADE_GOOD, 'worker:' .. ARGV[n], 'expected') end

local function workers()
  local names, all_done, fields = {}, true, redis.call('HGETALL', MADE_GOOD)
  for n = 1, #fields, 2 do
    if string.sub(fields[n], 1, 7) == 'worker:' then
      names[#names + 1] = fields[n]
      all_done = all_done and fields[n + 1] == 'done'
    end
  end
  return names, all_done
end

local names, all_done = workers()
local age = NOW - since
if age < least_us or not all_done and age < longest_us then return {HELD, done, 0}, WRONG end

-- Puts accounts whose jobs may have been dialled into the list of those to look at, by when they were due: those that could go,
-- and those that have a call in flight.
local function list_accounts()
  redis.call('HSET', MADE_GOOD, 'rest', 0)
  check('ZCARD', DUE, LEASES, EXPIRY)
  redis.call('ZUNIONSTORE', REST, 1, DUE)
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    local _, account = apart(ask, 'HGET', job_key(id), 'account')
    if account then redis.call('ZADD', REST, 'NX', int(NOW), account) end
  end
end

-- How many of an account's jobs can have been dialled in the time that is lost.
local function at_most(a)
  if a.interval <= 0 then return MOST_OF_ACCOUNT end
  return math.min(math.ceil((lost + MAX_AHEAD + a.tolerance) / a.interval) + 1, MOST_OF_ACCOUNT)
end

local function set_one_aside(a, id)
  local row = fields_for_lease(id)
  redis.call('ZREM', lane_key(a.name), id)
  redis.call('ZREM', EXPIRY, id)
  if not row[STATE] then return end
  leave_ages(id, a.name, row)
  -- The fence stays, so that an end of this job has the same number, and its event the same id, as one that is forgotten.
  redis.call('HSET', job_key(id), 'fence', row[FENCE] or '0', 'state', 'dialling', 'call', '',
             'history', with_step(row[HISTORY], row[WHY], row[ACCEPTED], 'set_back'))
  redis.call('HDEL', job_key(id), 'why', 'lacks', 'since', 'judged')
  redis.call('ZADD', LEASES, int(NOW), id)
  set_inflight(a, a.inflight + 1)
end

-- Sets jobs aside that come first in the account's lane: as leased by a worker that was lost. Returns how many.
local function set_aside(a, count)
  local first = redis.call('ZRANGEBYSCORE', lane_key(a.name), '-inf', int(NOW + lost), 'LIMIT', 0, count)
  for _, id in ipairs(first) do apart(set_one_aside, a, id) end
  if #first > 0 then
    a.tat = math.max(a.tat, NOW + a.tolerance + a.interval)
    redis.call('HSET', limit_key(a.name), 'tat', int(a.tat))
  end
  return #first
end

-- Handles the account that comes first in the list. Returns how many jobs were set aside; nil if none is left.
local function next_account(count)
  local name, score = unpack(redis.call('ZRANGE', REST, 0, 0, 'WITHSCORES'))
  score = tonumber(score)
  -- A count is far below any moment.
  local begun = score and score <= MOST_OF_ACCOUNT
  if not name or not begun and score > NOW + lost then return nil end
  local readable, a = apart(load_account, name)
  if not readable then
    redis.call('ZREM', REST, name)
    return 0
  end
  local left = begun and score or at_most(a)
  local some = set_aside(a, math.min(left, count))
  left = left - some
  if some == 0 or left <= 0 or some < count then
    redis.call('ZREM', REST, name)
  else
    redis.call('ZADD', REST, left, name)
  end
  refresh(a)
  return some
end

local all = all_done and short ~= '1'
if not all then
  -- A key of another type is reported and stops nothing: the hold must end.
  if not redis.call('HGET', MADE_GOOD, 'rest') then apart(list_accounts) end
  local left = most
  while left > 0 do
    local some = next_account(left)
    if not some then break end
    redis.call('HINCRBY', MADE_GOOD, 'rest', some)
    -- An account without jobs costs as much as a job.
    left = left - math.max(some, 1)
  end
  if left <= 0 then return {HELD, done, 1}, WRONG end
end

redis.call('DEL', REST)
redis.call('HDEL', MADE_GOOD, unpack(names))
redis.call('HSET', MADE_GOOD, 'ended', int(NOW), 'at', int(NOW + LAG), 'all', all and 1 or 0)
redis.call('PEXPIRE', MADE_GOOD, KEPT_MS)
redis.call('SET', TURN, int(math.max(newest, tonumber(found)) + JUMP))
return told(), WRONG
