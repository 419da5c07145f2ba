-- Records a job unless its id was seen before; lets it go now or puts it into its account's lane.
-- Guarantees: one record per id; a job overtakes no ready job of its account; with 'lease' the slot is taken and
-- the intent to dial is on record.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account  3 the job as JSON  4 expires_at (µs) or ''  5 ttl (µs)  6 pace  7 '1': the caller can dial now
--      8 lease (µs)  9 how far ahead a slot may lie (µs)
--      10 the call's name: a repeat under the same name gets the lease whose reply was lost
-- Reply: {'seen', state} | {'lease', …} (see lease_reply) | {'parked', reason, until (µs)}

local id, name = ARGV[1], ARGV[2]
local state = redis.call('HGET', job_key(id), 'state')
if state then return unheard(id, ARGV[10]) or {'seen', state} end

local expires = tonumber(ARGV[4]) or NOW + tonumber(ARGV[5])
redis.call('SET', payload_key(id), ARGV[3])
redis.call('HSET', job_key(id), 'account', name, 'accepted', int(NOW), 'expires', int(expires))
local a = load_account(name, ARGV[6])

local slot, at = next_slot(a, NOW, tonumber(ARGV[9]))
local capacity = ARGV[7] == '1' and a.inflight < a.concurrency
local first = not redis.call('ZRANGEBYSCORE', lane_key(name), '-inf', int(NOW), 'LIMIT', 0, 1)[1]
if slot and capacity and first and not a.hold and expires > NOW then
  local reply = begin(id, a, slot, at, tonumber(ARGV[8]), ARGV[10])
  refresh(a)
  return reply
end

local why = a.hold and 'held' or (slot and first) and 'capacity' or 'rate_limit'
local until_us = NOW
if why == 'held' then
  until_us = a.probe_at
elseif why == 'rate_limit' then
  until_us = math.max(a.tat - a.tolerance, NOW) + redis.call('ZCARD', lane_key(name)) * a.interval
end
wait_in_lane(id, name, NOW, int(expires), why, '')
refresh(a)
return {'parked', why, int(until_us)}
