-- Second prelude, of the scripts that deal with webhooks: an endpoint's state, its breaker, and the ends of deliveries.
-- A destination is 'ACCOUNT|ENDPOINT KEY'.

local function hooks_key() return prefix .. 'hooks' end
local function hook_pending_key() return prefix .. 'hook-pending' end
local function hook_leases_key() return prefix .. 'hook-leases' end
local function hook_key(dest) return prefix .. 'hook:' .. dest end
local function hook_lane_key(dest) return prefix .. 'hook-lane:' .. dest end
local function hook_open_key(dest) return prefix .. 'hook-open:' .. dest end
local function hook_log_key(dest) return prefix .. 'hook-log:' .. dest end
local function hook_lost_key(dest) return prefix .. 'hook-lost:' .. dest end
local function hook_tries_key(dest) return prefix .. 'hook-tries:' .. dest end

local HOUR, DAY = 3600000, 86400000
-- How long the record of a job without deliveries is kept after its end (ms).
local DETAILS = HOUR
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

local function ms() return math.floor(TIME / 1000) end

local function check_endpoint(dest)
  check('ZCARD', hooks_key(), hook_lane_key(dest), hook_open_key(dest))
  check('HLEN', hook_key(dest), PENDING, hook_pending_key())
end

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

local function count_in(key, name, by)
  if redis.call('HINCRBY', key, name, by) <= 0 then redis.call('HDEL', key, name) end
end

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

-- Takes note that a delivery is on its way from a moment on (µs from now), until `over` ends it.
local function set_out(dest, id, wait_us)
  redis.call('ZADD', hook_open_key(dest), int(ms() + wait_us / 1000), id)
  count_in(hook_pending_key(), dest, 1)
end

-- Puts an event on its way to the endpoint, with the endpoint's next number.
local function send_to(dest, id, attempt)
  local hook = hook_key(dest)
  local sequence = redis.call('HINCRBY', hook, 'sequence', 1)
  local log = hook_log_key(dest)
  redis.call('ZADD', log, sequence, id)
  if sequence % 16 == 0 then
    -- Numbers of records that are gone leave the log.
    for _, old in ipairs(redis.call('ZRANGE', log, 0, 31)) do
      if redis.call('EXISTS', job_key(old)) == 0 then redis.call('ZREM', log, old) end
    end
  end
  redis.call('ZADD', hook_lane_key(dest), int(NOW), id .. '|' .. attempt)
  set_out(dest, id, 0)
  if not redis.call('HGET', hook, 'disabled') then
    redis.call('ZADD', hooks_key(), 'LT', int(NOW), dest)
  elseif not redis.call('ZSCORE', hooks_key(), dest) then
    redis.call('ZADD', hooks_key(), int(NOW + HOUR * 1000), dest)
  end
  return sequence
end

-- Formats what the job's record says of a delivery.
local function standing(sequence, state, attempts, why)
  return string.format('%s %s %s %s %s', sequence, state, attempts, why, int(ms()))
end

-- Checks the keys that `conclude` writes to.
local function check_way_out(account, endpoints)
  check('LLEN', OUTBOX)
  for endpoint in string.gmatch(endpoints, '%S+') do
    check_endpoint(account .. '|' .. endpoint)
    check('ZCARD', hook_log_key(account .. '|' .. endpoint))
  end
end

-- Returns what the record of an ended job keeps and the event does not say.
local function kept(history, perhaps, conflicts, conflict_at)
  local record = {'history', history}
  if (perhaps or '0') ~= '0' then record = {'perhaps', perhaps, unpack(record)} end
  if conflicts then record = {'conflicts', conflicts, 'conflict_at', conflict_at, unpack(record)} end
  return record
end

-- Writes the event, its deliveries and the outcome. Replaces the job's record; `record` has further fields of the new one;
-- `how` is 'canceled' if the job was taken back. Call `check_way_out` first. What has to be remembered of the job goes to the claim of its id. So the record is kept for an hour
-- only; with deliveries, until all of them are over and for `replay_ms` after its end.
local function conclude(id, account, status, event, event_id, digest, retention_ms, replay_ms, endpoints, record, how)
  redis.call('RPUSH', OUTBOX, 'call.' .. status .. ' ' .. event)
  redis.call('SET', end_key(id), table.concat({account, status, int(ms()), digest, event_id, how}, ' '), 'PX', retention_ms)
  local key, open = job_key(id), 0
  local function add(...) for _, word in ipairs({...}) do record[#record + 1] = word end end
  for endpoint in string.gmatch(endpoints, '%S+') do
    add('hook:' .. endpoint, standing(send_to(account .. '|' .. endpoint, id, 1), 'waiting', 0, '-'))
    open = open + 1
  end
  if open > 0 then
    redis.call('HINCRBY', PENDING, account, open)
    add('open', open, 'retention', replay_ms)
  end
  redis.call('DEL', key, payload_key(id))
  redis.call('HSET', key, 'state', status, 'event', event, 'finished', int(NOW + LAG), unpack(record))
  if open == 0 then redis.call('PEXPIRE', key, DETAILS) end
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
