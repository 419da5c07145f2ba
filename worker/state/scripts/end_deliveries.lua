-- Concludes attempts at webhook deliveries: each is over, or waits for its next attempt; and its endpoint's health follows.
-- Guarantees: an attempt is concluded once. Each conclusion is one step: whatever stops the script, those before are whole, and
-- all may be given again. A worker that knows how an attempt ended wins over the end of its lease, until another worker has
-- concluded the same attempt.
-- KEYS 1 shard prefix
-- ARGV for each: destination  id  attempt  verdict  wait until the next attempt (µs)  health  pause that the endpoint asked for
--      (µs, '' if it named none)  why it is to be disabled, or ''  why, in one word  the attempt as JSON, '' if none was made
--      id of the installation, and time, of an event that may have to be written about the endpoint
-- Reply: for each {recorded, failures in a row, 1 if a warning was written, how long the breaker that has opened stays open (µs,
--      0: it has not), 1 if the breaker was closed, why the endpoint was disabled or ''}. `recorded` is 1; or 0 if nothing was
--      changed, because another worker concluded the attempt or a key of another type stopped it

local ARGV_OF_ONE = 12

-- The attempts to note, as JSON, by destination; a destination whose state has to be written has a list, if an empty one.
local tries = {}

-- Counts an attempt in the minutes that the breaker looks at. Returns the attempts and the failures in them.
local function count(e, is_bad)
  local minute, good, bad, kept = math.floor(NOW / 60000000), 0, 0, {}
  local ok_now, bad_now = is_bad and 0 or 1, is_bad and 1 or 0
  for at, ok, failed in string.gmatch(e.recent, '(%d+):(%d+):(%d+)') do
    at, ok, failed = tonumber(at), tonumber(ok), tonumber(failed)
    if at == minute then
      ok_now, bad_now = ok_now + ok, bad_now + failed
    elseif at > minute - MINUTES and at < minute then
      good, bad, kept[#kept + 1] = good + ok, bad + failed, string.format('%.0f:%d:%d', at, ok, failed)
    end
  end
  kept[#kept + 1] = string.format('%.0f:%d:%d', minute, ok_now, bad_now)
  e.recent = table.concat(kept, ' ')
  return good + ok_now + bad + bad_now, bad + bad_now
end

local function works(e, effect)
  if e.opened > 0 then
    e.recent, effect[5] = '', 1
  end
  count(e, false)
  forget_failures(e)
end

local function open_if_failing(e, attempts, bad, effect)
  local probed = e.opened > 0 and NOW >= e.open_until
  local failing = e.opened == 0 and (e.fails >= OPENS_AT or attempts >= BAD_OF and bad >= attempts * BAD_SHARE)
  if not probed and not failing then return end
  local lasts = math.min(FIRST_OPEN * 2 ^ e.opened, LONGEST_OPEN)
  e.opened, e.open_until, effect[4] = e.opened + 1, NOW + lasts, int(lasts)
end

local function fails(e, effect, told)
  local attempts, bad = count(e, true)
  e.fails, effect[2] = e.fails + 1, e.fails + 1
  -- Failures that are further apart are no row of days with nothing but failures.
  if e.bad_from == 0 or ms() - e.bad_last > FAILS_FOR then e.bad_from = ms() end
  e.bad_last = ms()
  open_if_failing(e, attempts, bad, effect)
  if WARNS_AT[e.fails] then
    tell(e, 'failing', told, int(e.bad_from) .. ' ' .. e.fails, string.format('"failures":%d', e.fails))
    effect[3] = 1
  end
end

-- An endpoint that is overloaded is left alone as long as it asks; without a wish, for twice as long each time.
local function slow_down(e, slow_us)
  local pause = tonumber(slow_us) or math.min(FIRST_SLOW * 2 ^ e.slows, LONGEST_SLOW)
  e.slows, e.slow_until = e.slows + 1, math.max(e.slow_until, NOW + pause)
end

-- Updates the endpoint's health after an attempt, and disables it if that is due.
local function judge(e, health, slow_us, reason, effect, told)
  e.absent_at = 0
  if health == 'good' then
    works(e, effect)
  else
    fails(e, effect, told)
    if health == 'slow' then slow_down(e, slow_us) end
    if reason == '' and ms() - e.bad_from >= FAILS_FOR then reason = 'failing' end
  end
  if reason ~= '' and e.disabled == '' then
    disable(e, reason, told)
    effect[6] = reason
  end
end

-- Takes the attempt out of the leases; or, if its lease ran out, out of its lane. Returns false if another worker has
-- concluded it.
local function take_out(e, id, attempt)
  if redis.call('ZREM', hook_leases_key(), e.dest .. '|' .. id .. '|' .. attempt) == 1 then
    e.inflight = math.max(e.inflight - 1, 0)
    return true
  end
  return redis.call('ZREM', hook_lane_key(e.dest), id .. '|' .. attempt) == 1
end

-- Puts the delivery back into its lane. `made` is the number of attempts that were made, `attempt` that of the next one.
local function wait(e, id, sequence, made, attempt, wait_us, why)
  redis.call('ZADD', hook_lane_key(e.dest), int(NOW + wait_us), id .. '|' .. attempt)
  redis.call('HSET', job_key(id), 'hook:' .. e.key, standing(sequence, 'waiting', made, why))
end

-- An endpoint that no worker knows any more is given as long as one that is disabled.
local function is_forgotten(e)
  if e.absent_at == 0 then e.absent_at = ms() end
  return ms() - e.absent_at >= KEPT
end

-- `made` is the number of attempts that were made.
local function finish(e, id, sequence, attempt, made, verdict, wait_us, why)
  if verdict == 'delivered' or verdict == 'given_up' then
    over(e, id, sequence, verdict, made, why)
  elseif verdict == 'unknown' and is_forgotten(e) then
    over(e, id, sequence, 'given_up', made, 'endpoint_gone')
  else
    wait(e, id, sequence, made, verdict == 'again' and attempt + 1 or attempt, wait_us, why)
  end
end

local function conclude_one(dest, id, attempt, verdict, wait_us, health, slow_us, reason, why, try, installation, at)
  check('ZCARD', hook_leases_key(), hook_lost_key(dest))
  check('LLEN', OUTBOX, hook_tries_key(dest))
  local e, effect = load_endpoint(dest), {1, 0, 0, 0, 0, ''}
  local about = ask('HGET', job_key(id), 'hook:' .. e.key)
  if not take_out(e, id, attempt) then return {0, 0, 0, 0, 0, ''} end
  tries[dest] = tries[dest] or {}
  if about then
    local made = health == 'none' and attempt - 1 or attempt
    finish(e, id, string.match(about, '^%d+'), attempt, made, verdict, wait_us, why)
  else
    -- An operator deleted the record.
    over(e, id)
  end
  if try ~= '' then tries[dest][#tries[dest] + 1] = try end
  if health ~= 'none' then judge(e, health, slow_us, reason, effect, {installation, at}) end
  return effect
end

-- Writes the state of an endpoint after all that was concluded about it.
local function write_endpoint(dest, made)
  local e = load_endpoint(dest)
  save(e, 'inflight', 'recent', 'fails', 'opened', 'open_until', 'slows', 'slow_until', 'bad_from', 'bad_last', 'absent_at')
  if #made > 0 then
    redis.call('LPUSH', hook_tries_key(dest), unpack(made))
    redis.call('LTRIM', hook_tries_key(dest), 0, MOST_TRIES - 1)
  end
  refresh_endpoint(e)
end

local reply = {}
local done, problem = pcall(function()
  for at = 1, #ARGV, ARGV_OF_ONE do
    local _, effect = apart(conclude_one, unpack(ARGV, at, at + ARGV_OF_ONE - 1))
    reply[#reply + 1] = effect or {0, 0, 0, 0, 0, ''}
  end
end)
for dest, made in pairs(tries) do write_endpoint(dest, made) end
if not done then error(problem, 0) end
return reply, WRONG
