-- A fresh slot and intent for a job in hand whose slot lapsed or whose attempt failed; without a slot, back to the lane,
-- where its age gives it the place that it had.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 lease (µs)  5 how far ahead a slot may lie (µs)  6 sent  7 not rung  8 perhaps rung
--      9 '1': the job is the probe of its account  10 pace
--      11 '1': the slot lapsed unused  12 generation of the caller's accounts file
-- Reply: {'lease', …} | {'parked', reason, until (µs)} | {'lost'}

local LAPSES_MANY, LAPSES_APART, STANDSTILL = 5, 1000000, 100000

local id, name = ARGV[1], ARGV[3]
local held, state, judged = holds(id, ARGV[2])
if not held or not judged and state ~= 'dialling' then return {'lost'} end
local fields = fields_for_lease(id)
local a = load_account(name, ARGV[10], ARGV[12])
check('ZCARD', LEASES, EXPIRY)
set_tally(id, ARGV[6], ARGV[7], ARGV[8])
fields[4], fields[5], fields[6] = ARGV[6], ARGV[7], ARGV[8]
if judged then take_back(id, name) end

-- Where slots lapse again and again the account's slots are made wider, in one step or two. What lapses within one short
-- standstill of a machine counts once.
local function note_lapse()
  local f = redis.call('HMGET', limit_key(name), 'lapses', 'lapsed_at')
  local lapses, since = tonumber(f[1] or 0), NOW - tonumber(f[2] or 0)
  if since < STANDSTILL then return end
  lapses = since < LAPSES_APART and lapses + 1 or 1
  if lapses >= LAPSES_MANY then
    lapses, a.ease = 0, math.min(a.ease + 1, #EASES)
    redis.call('HSET', limit_key(name), 'ease', a.ease, 'eased_at', int(NOW))
  end
  redis.call('HSET', limit_key(name), 'lapses', lapses, 'lapsed_at', int(NOW))
end

if ARGV[11] == '1' then note_lapse() end
-- One that was judged lost has no place in flight any more.
local slot, at
if not judged then slot, at = next_slot(a, NOW, tonumber(ARGV[5])) end
local probe = a.hold and a.probe_at > 0 and ARGV[9] == '1'
if slot and (probe or not a.hold) then
  a.tat = at
  redis.call('HSET', limit_key(name), 'tat', int(at))
  redis.call('ZADD', LEASES, int(NOW + tonumber(ARGV[4])), id)
  note(id, 'dialling')
  refresh(a)
  return lease_of(fields, id, 'dial', slot, a.valid, probe)
end

local why = a.hold and 'held' or 'rate_limit'
local until_us = a.hold and a.probe_at or a.tat - a.tolerance
release(id, a, state)
-- Its age on the store's clock; had Redis' clock been set since, it must not be in the future.
wait_in_lane(id, name, math.min(fields[2] - LAG, NOW), fields[3], why, '')
refresh(a)
return {'parked', why, told(until_us)}
