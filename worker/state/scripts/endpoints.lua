-- Third prelude, of the scripts that deal with webhooks: an endpoint's state, its breaker, and the ends of deliveries.

local function hook_leases_key() return prefix .. 'hook-leases' end
local function hook_lost_key(dest) return prefix .. 'hook-lost:' .. dest end
local function hook_tries_key(dest) return prefix .. 'hook-tries:' .. dest end

-- How long what was given up, and what waits for a disabled endpoint, is kept (ms); and how many of what was given up.
local KEPT, MOST_LOST = 7 * DAY, 10000
local RETENTION = DAY
local MOST_TRIES = 20

-- The breaker: failures in a row that open it, or the share of failures among at least so many attempts in so many minutes;
-- the first and the longest time until a probe (µs).
local OPENS_AT, BAD_SHARE, BAD_OF, MINUTES = 10, 0.7, 10, 5
local FIRST_OPEN, LONGEST_OPEN = 30000000, 3600000000
-- How long an endpoint that says that it is overloaded is left alone, unless it names a time (µs).
local FIRST_SLOW, LONGEST_SLOW = 1000000, 60000000
-- Failures in a row that give a warning event; and how long nothing but failures disables an endpoint (ms).
local WARNS_AT, FAILS_FOR = {[50] = true, [70] = true, [90] = true}, 5 * DAY

local FIELDS = {'pace', 'tat', 'served', 'inflight', 'fails', 'recent', 'open_until', 'opened', 'slow_until', 'slows',
                'bad_from', 'bad_last', 'disabled', 'disabled_at', 'absent_at', 'holder'}
local TEXTS = {pace = true, recent = true, disabled = true, holder = true}
local loaded = {}

-- Reads an endpoint's state, once per script. An endpoint that no worker has declared has no rate and four places.
local function load_endpoint(dest)
  if loaded[dest] then return loaded[dest] end
  check_endpoint(dest)
  local row, e = ask('HMGET', hook_key(dest), unpack(FIELDS)), {dest = dest, key = string.match(dest, '|(.+)$')}
  e.account, e.written, e.ended = string.match(dest, '^[^|]+'), {}, 0
  for n, field in ipairs(FIELDS) do
    e[field], e.written[field] = TEXTS[field] and (row[n] or '') or tonumber(row[n] or 0), row[n] and true
  end
  local interval, tolerance, _, catch_up, concurrency = string.match(e.pace, '(%d+) (%d+) (%d+) (%d+) (%d+)')
  e.interval, e.tolerance, e.catch_up = tonumber(interval or 0), tonumber(tolerance or 0), tonumber(catch_up or 0)
  e.concurrency = tonumber(concurrency or 4)
  e.valid = tonumber(string.match(e.pace, '^%d+ %d+ (%d+)') or 0)
  -- If the store's clock started again, no moment may be further ahead than it can have been set.
  e.tat = math.min(e.tat, NOW + MAX_AHEAD + e.tolerance + e.interval)
  e.open_until, e.served = math.min(e.open_until, NOW + LONGEST_OPEN), math.min(e.served, NOW)
  loaded[dest] = e
  return e
end

-- Writes fields of an endpoint's state; those that are 0 or empty are removed if they are there.
local function save(e, ...)
  local set, gone = {}, {}
  for _, field in ipairs({...}) do
    local value, empty = e[field], e[field] == 0 or e[field] == ''
    if not empty then
      set[#set + 1] = field
      set[#set + 1] = type(value) == 'number' and int(value) or value
    elseif e.written[field] then
      gone[#gone + 1] = field
    end
    e.written[field] = not empty
  end
  if #set > 0 then redis.call('HSET', hook_key(e.dest), unpack(set)) end
  if #gone > 0 then redis.call('HDEL', hook_key(e.dest), unpack(gone)) end
end

-- Forgets what failed. It stays unwritten until `save`.
local function forget_failures(e)
  e.fails, e.opened, e.open_until, e.slows, e.slow_until, e.bad_from, e.bad_last = 0, 0, 0, 0, 0, 0, 0
end

-- How many deliveries may be in flight: one for an endpoint whose breaker opened or that said that it is overloaded.
local function places(e) return (e.opened > 0 or e.slows > 0) and 1 or e.concurrency end

-- Updates the endpoint's place in the index of endpoints to which a delivery could go, and counts those that are over. A
-- disabled endpoint stands in the index with the moment of the next look for deliveries that were kept long enough.
local function refresh_endpoint(e)
  if e.ended > 0 then
    count_in(PENDING, e.account, -e.ended)
    count_in(hook_pending_key(), e.dest, -e.ended)
    e.ended = 0
  end
  local head = redis.call('ZRANGE', hook_lane_key(e.dest), 0, 0, 'WITHSCORES')
  local at
  if head[1] and e.disabled ~= '' then
    at = NOW + math.max(e.disabled_at + KEPT - ms(), HOUR) * 1000
  elseif head[1] and e.inflight < places(e) then
    at = math.max(tonumber(head[2]), e.open_until, e.slow_until, e.served, e.interval > 0 and e.tat - e.tolerance or 0)
  end
  if at then
    redis.call('ZADD', hooks_key(), int(at), e.dest)
  else
    redis.call('ZREM', hooks_key(), e.dest)
  end
end

-- Takes note that a delivery is over, and how; the record expires once all of its deliveries are. `refresh_endpoint` has to
-- follow.
local function over(e, id, sequence, state, attempts, why)
  local key = job_key(id)
  e.ended = e.ended + 1
  redis.call('ZREM', hook_open_key(e.dest), id)
  local finished, retention, open = unpack(redis.call('HMGET', key, 'finished', 'retention', 'open'))
  -- The record may be gone: an operator may delete keys.
  if not finished then return end
  local age = ms() - finished / 1000
  retention = tonumber(retention or RETENTION)
  if state == 'given_up' then
    retention = math.max(retention, age + KEPT)
    local lost = hook_lost_key(e.dest)
    redis.call('ZADD', lost, int(ms()), id)
    redis.call('ZREMRANGEBYSCORE', lost, '-inf', int(ms() - KEPT))
    redis.call('ZREMRANGEBYRANK', lost, 0, -MOST_LOST - 1)
    redis.call('HINCRBY', hook_key(e.dest), 'lost:' .. why, 1)
  end
  open = math.max((open or 0) - 1, 0)
  redis.call('HSET', key, 'hook:' .. e.key, standing(sequence, state, attempts, why), 'retention', int(retention), 'open', open)
  if open == 0 then redis.call('PEXPIRE', key, int(math.max(retention - age, HOUR))) end
end

-- Tells the results queue of a change of the endpoint itself. `told` is {id of the installation, time}. The event's id follows
-- from `what`, which names the change: told again from a state that was set back, it has the same id.
local function tell(e, kind, told, what, data)
  local digest = redis.sha1hex(table.concat({told[1], kind, e.dest, what}, ' '))
  redis.call('RPUSH', OUTBOX, string.format(
    'endpoint.%s {"id":"evt_%s","type":"endpoint.%s","timestamp":"%s","data":{"account":"%s","endpoint":"%s",%s}}',
    kind, string.sub(digest, 1, 32), kind, told[2], e.account, e.key, data))
end

-- Disables an endpoint: what waits for it is kept.
local function disable(e, reason, told)
  e.disabled, e.disabled_at = reason, ms()
  save(e, 'disabled', 'disabled_at')
  -- A row of failures is ended once, if any: enabling the endpoint forgets it.
  local row = int(e.bad_from > 0 and e.bad_from or e.disabled_at)
  tell(e, 'disabled', told, row .. ' ' .. e.fails .. ' ' .. reason, string.format('"reason":"%s","failures":%d', reason, e.fails))
end

-- Removes what waits for an endpoint that is disabled for good and was kept long enough; at most 500 deliveries at a time.
local function drop_old(e)
  local lane = hook_lane_key(e.dest)
  for _, member in ipairs(redis.call('ZRANGE', lane, 0, 499)) do
    local id, attempt = string.match(member, '^([^|]+)|(%d+)$')
    local finished, about = unpack(redis.call('HMGET', job_key(id), 'finished', 'hook:' .. e.key))
    if not finished or ms() - finished / 1000 >= KEPT then
      redis.call('ZREM', lane, member)
      over(e, id, string.match(about or '0', '^%d+'), 'given_up', attempt - 1, 'disabled')
    end
  end
end
