-- A fresh slot and intent for a job in hand whose slot lapsed or whose attempt failed; without a slot, back to the lane.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 lease (µs)  5 how far ahead a slot may lie (µs)  6 sent  7 not rung  8 perhaps rung
-- Reply: {'lease', …} | {'parked', reason, until (µs)} | {'lost'}

local id, name = ARGV[1], ARGV[3]
local held, state = holds(id, ARGV[2])
if not held or state ~= 'dialling' then return {'lost'} end
set_tally(id, ARGV[6], ARGV[7], ARGV[8])

local a = load_account(name)
local slot, at = next_slot(a, NOW, tonumber(ARGV[5]))
if slot and not a.hold then
  redis.call('HSET', limit_key(name), 'tat', int(at))
  redis.call('ZADD', LEASES, int(NOW + tonumber(ARGV[4])), id)
  note(id, 'dialling')
  return lease_reply(id, 'dial', slot, a.valid, false)
end

local why = a.hold and 'held' or 'rate_limit'
local until_us = a.hold and a.probe_at or a.tat - a.tolerance
release(id, a, state)
wait_in_lane(id, name, NOW, redis.call('HGET', job_key(id), 'expires'), why, until_us, '')
refresh(a)
return {'parked', why, int(until_us)}
