-- Gives a job in hand a new slot and intent after its slot lapsed or its attempt failed. If no slot comes at once, puts the job
-- back into its lane, at the place of its age.
-- Guarantees: the job keeps its lease and fence, or waits again; its tally is written in the same step. With a 'lease' reply,
-- the slot is taken and the intent to dial is on record. An account whose slots repeatedly lapse gets wider slots.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 lease (µs)  5 how far ahead a slot may be (µs)  6 requests sent  7 not rung
--      8 perhaps rung  9 '1' if the job is the probe of its account  10 pace  11 '1' if the slot lapsed unused
--      12 generation of the caller's accounts file
-- Reply: lease reply, see README.md | {'parked', reason, until (µs)} | {'lost'}

local id, fence, name, lease_us, ahead_us, sent, not_rung, perhaps, is_probe, pace, lapsed, generation = unpack(ARGV)

local LAPSES_MANY, LAPSES_APART, STANDSTILL = 5, 1000000, 100000

local held, state, judged = holds(id, fence)
if not held or not judged and state ~= 'dialling' then return {'lost'} end
local row = fields_for_lease(id)
local a = load_account(name, pace, generation)
check('ZCARD', LEASES, EXPIRY)
set_tally(id, sent, not_rung, perhaps)
row[SENT], row[NOT_RUNG], row[PERHAPS] = sent, not_rung, perhaps
if judged then take_back(id, name) end

-- Widens the account's slots by one step if slots lapse again and again. Lapses within one short standstill of a machine count
-- once.
local function note_lapse()
  local before, lapsed_at = unpack(redis.call('HMGET', limit_key(name), 'lapses', 'lapsed_at'))
  local lapses, since = tonumber(before or 0), NOW - tonumber(lapsed_at or 0)
  if since < STANDSTILL then return end
  lapses = since < LAPSES_APART and lapses + 1 or 1
  if lapses >= LAPSES_MANY then
    lapses, a.ease = 0, math.min(a.ease + 1, #EASES)
    redis.call('HSET', limit_key(name), 'ease', a.ease, 'eased_at', int(NOW))
  end
  redis.call('HSET', limit_key(name), 'lapses', lapses, 'lapsed_at', int(NOW))
end

if lapsed == '1' then note_lapse() end
-- A job that was judged lost has no place in flight any more.
local slot, tat
if not judged then slot, tat = next_slot(a, NOW, tonumber(ahead_us)) end
local probe = a.hold and a.probe_at > 0 and is_probe == '1'
if slot and (probe or not a.hold) then
  a.tat = tat
  redis.call('HSET', limit_key(name), 'tat', int(tat))
  redis.call('ZADD', LEASES, int(NOW + tonumber(lease_us)), id)
  note(id, 'dialling')
  refresh(a)
  return lease_reply(row, id, 'dial', slot, a.valid, probe)
end

local why = a.hold and 'held' or 'rate_limit'
local until_us = a.hold and a.probe_at or a.tat - a.tolerance
release(id, a, state)
-- The job's age on the store's clock. It must not be in the future if Redis' clock has been set since.
wait_in_lane(id, name, math.min(row[ACCEPTED] - LAG, NOW), row[EXPIRES], why, '')
refresh(a)
return {'parked', why, told(until_us)}, WRONG
