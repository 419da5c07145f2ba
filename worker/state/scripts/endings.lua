-- Second prelude, of the scripts that end jobs or deal with webhooks: the end of a job, and its event's way to the endpoints.
-- A destination is 'ACCOUNT|ENDPOINT KEY'.

local function hooks_key() return prefix .. 'hooks' end
local function hook_pending_key() return prefix .. 'hook-pending' end
local function hook_key(dest) return prefix .. 'hook:' .. dest end
local function hook_lane_key(dest) return prefix .. 'hook-lane:' .. dest end
local function hook_open_key(dest) return prefix .. 'hook-open:' .. dest end
local function hook_log_key(dest) return prefix .. 'hook-log:' .. dest end

local HOUR, DAY = 3600000, 86400000
-- How long the record of a job without deliveries is kept after its end (ms).
local DETAILS = HOUR

local function ms() return math.floor(TIME / 1000) end

local function check_endpoint(dest)
  check('ZCARD', hooks_key(), hook_lane_key(dest), hook_open_key(dest))
  check('HLEN', hook_key(dest), PENDING, hook_pending_key())
end

local function count_in(key, name, by)
  if redis.call('HINCRBY', key, name, by) <= 0 then redis.call('HDEL', key, name) end
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

