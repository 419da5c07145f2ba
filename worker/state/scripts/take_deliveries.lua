-- Leases webhook deliveries that may be attempted now: the endpoint that is due for longest first, one each in turn.
-- Guarantees: a delivery is given to one worker until its lease ends. One that is not concluded by then is due again, as the
-- same attempt. All workers together have at most `concurrency` deliveries of an endpoint, one while its breaker is open, and
-- never more than its rate allows. Only a worker that has all of them alone, and is answered quickly, gets some ahead: it makes
-- no more requests at once than the others may.
-- KEYS shard prefixes; the deliveries of the first shard come first
-- ARGV 1 most deliveries  2 lease (µs)  3 how far ahead a slot may be (µs)  4 1 to look for leases that ran out too
--      5 name of the caller  6 number of endpoints that answer it quickly; for each of them shard prefix and destination
--      then destinations that the caller does not know
-- Reply: {now (µs), in a cluster by the clock of each shard in turn; when the next endpoint is due by the first of them (µs, 0: none);
--      rows …}. A row is {place of the shard in KEYS, from 0; destination;
--      id; attempt; event; sequence; when the job finished (µs); slot (µs, 0: no rate); how long it is valid (µs); requests at once}

local MOST_SWEPT = 100

-- How many times as many deliveries a worker gets of an endpoint that answers it quickly.
local AHEAD = 4

local most, lease_us, ahead_us = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local sweeps, caller, quick_count = ARGV[4] == '1', ARGV[5], tonumber(ARGV[6])
local quick, quick_of, unknown = {}, {}, {}
for n = 7, 6 + 2 * quick_count, 2 do
  local shard, dest = ARGV[n], ARGV[n + 1]
  quick[dest], quick_of[shard] = true, quick_of[shard] or {}
  table.insert(quick_of[shard], dest)
end
for n = 7 + 2 * quick_count, #ARGV do unknown[ARGV[n]] = true end

-- `nows` has the clock of each shard, where it is not the same for all; `idle_us` for how long no endpoint is due.
local begun, nows, idle_us = NOW, {int(NOW)}, math.huge
local reply = {'', '0'}

local function leased() return #reply - 2 end

-- Puts a delivery whose lease ran out back into its lane.
local function regain(member)
  local dest, id, attempt = string.match(member, '^([^|]+|[^|]+)|([^|]+)|(%d+)$')
  local e = load_endpoint(dest)
  redis.call('ZREM', hook_leases_key(), member)
  redis.call('ZADD', hook_lane_key(dest), int(NOW), id .. '|' .. attempt)
  e.inflight = math.max(e.inflight - 1, 0)
  save(e, 'inflight')
  refresh_endpoint(e)
end

-- Moves a delivery that an earlier version scheduled into its lane.
local function adopt(deliveries, member)
  local id, endpoint, attempt = string.match(member, '^([^|]+)|([^|]+)|(%d+)$')
  local key = job_key(id)
  local account = ask('HGET', key, 'account')
  if account then
    local dest = account .. '|' .. endpoint
    check_endpoint(dest)
    check('ZCARD', hook_log_key(dest))
    redis.call('HSET', key, 'hook:' .. endpoint, standing(send_to(dest, id, attempt), 'waiting', attempt - 1, '-'))
    redis.call('HINCRBY', key, 'open', 1)
    redis.call('PERSIST', key)
  end
  redis.call('ZREM', deliveries, member)
end

local function each_due(key, step)
  local due = ask('ZRANGEBYSCORE', key, '-inf', int(NOW), 'LIMIT', 0, MOST_SWEPT)
  if #due > 0 then take_turn() end
  for _, member in ipairs(due) do
    if not apart(step, member) then put_off(key, member) end
  end
end

-- Leases at most `count` deliveries that are due, each with its slot if the endpoint has a rate. Returns false if there is none,
-- or no slot.
local function lease_ready(place, e, count)
  local lane, left, begun = hook_lane_key(e.dest), {}, {}
  local ready = redis.call('ZRANGEBYSCORE', lane, '-inf', int(NOW), 'WITHSCORES', 'LIMIT', 0, count)
  for n = 1, #ready, 2 do
    local member, slot = ready[n], 0
    if e.interval > 0 then
      local tat
      slot, tat = next_slot(e, tonumber(ready[n + 1]), ahead_us)
      if not slot then return false end
      e.tat = tat
    end
    local id, attempt = string.match(member, '^([^|]+)|(%d+)$')
    local known, record = apart(ask, 'HMGET', job_key(id), 'event', 'finished', 'hook:' .. e.key)
    local event, finished, about = unpack(record or {})
    if not known then
      put_off(lane, member)
    elseif event then
      left[#left + 1], begun[#begun + 1], begun[#begun + 2] = member, int(NOW + lease_us), e.dest .. '|' .. member
      reply[#reply + 1] = {place, e.dest, id, attempt, event, string.match(about or '0', '^%d+'), finished,
                           int(slot), int(e.valid), e.concurrency}
    else
      -- An operator deleted the record, so there is nothing left to deliver.
      left[#left + 1] = member
      over(e, id)
    end
  end
  if #left > 0 then redis.call('ZREM', lane, unpack(left)) end
  if #begun > 0 then
    redis.call('ZADD', hook_leases_key(), unpack(begun))
    e.holder = (e.inflight == 0 or e.holder == caller) and caller or ''
  end
  e.inflight, e.served = e.inflight + #begun / 2, NOW
  return #ready > 0
end

-- How many deliveries the caller and all others may have.
local function limit(e)
  local healthy = e.fails == 0 and e.opened == 0 and e.slows == 0 and e.interval == 0
  return places(e) * (healthy and quick[e.dest] and e.holder == caller and AHEAD or 1)
end

local function lease_some(place, dest, turn)
  local e = load_endpoint(dest)
  -- What the end of an attempt writes to is checked before the attempt.
  check('ZCARD', hook_leases_key(), hook_lost_key(dest))
  check('LLEN', OUTBOX, hook_tries_key(dest))
  if e.disabled ~= '' then
    drop_old(e)
  elseif NOW >= math.max(e.open_until, e.slow_until) then
    local free = math.min(turn, limit(e) - e.inflight)
    if e.interval == 0 and free > 0 then
      lease_ready(place, e, free)
    else
      local goal = leased() + free
      while leased() < goal and lease_ready(place, e, 1) do end
    end
    save(e, 'inflight', 'served', 'tat', 'holder')
  end
  refresh_endpoint(e)
end

-- Returns the endpoints that the caller knows and that are due or answer it quickly, and when the first one is due, nil if
-- none waits for anything.
local function look()
  local due, at = {}, nil
  for _, dest in ipairs(quick_of[prefix] or {}) do due[#due + 1] = dest end
  local first = ask('ZRANGE', hooks_key(), 0, most + #ARGV, 'WITHSCORES')
  for n = 1, #first, 2 do
    if not unknown[first[n]] then
      at = at or tonumber(first[n + 1])
      if tonumber(first[n + 1]) > NOW + ahead_us then break end
      if not quick[first[n]] then due[#due + 1] = first[n] end
    end
  end
  return due, at
end

-- Leases from each endpoint one delivery; from a single one, as many as it may have. Returns whether there may be more.
local function lease_round(place, due)
  local before = leased()
  if #due > 0 then take_turn() end
  for n = 1, math.min(#due, most - leased()) do
    if not apart(lease_some, place, due[n], #due == 1 and most - leased() or 1) then put_off(hooks_key(), due[n]) end
  end
  return leased() > before and leased() < most
end

local function sweep()
  each_due(hook_leases_key(), regain)
  local deliveries = prefix .. 'deliveries'
  each_due(deliveries, function(member) adopt(deliveries, member) end)
end

local function take_from(place, shard)
  enter(shard)
  if CLUSTER then nows[place + 1] = int(NOW) end
  if sweeps then sweep() end
  local due, at = look()
  local more = #due > 0
  while more do
    more = lease_round(place, due)
    due, at = look()
    more = more and #due > 0
  end
  idle_us = math.min(idle_us, (at or math.huge) - NOW)
end

for n, shard in ipairs(KEYS) do
  if leased() < most then apart(take_from, n - 1, shard) end
end
reply[1] = table.concat(nows, ' ')
if idle_us < math.huge then reply[2] = int(begun + idle_us) end
return reply, WRONG
