-- Ends a job in hand: outcome, event and deliveries in one step. The newest fence alone may do it, once.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 status  5 event  6 retention (ms)  7 endpoint keys, separated by spaces
--      8 sent  9 not rung  10 perhaps rung  11 '1': a probe got through, so the account's hold ends
-- Reply: 1; 2 where a job that waited for this one's place in flight can go now; 0 where the fence is old and nothing
-- was changed. The same event again, whose reply was lost, is 1.

local id, name = ARGV[1], ARGV[3]
local held, state = holds(id, ARGV[2])
if not held then return redis.call('HGET', job_key(id), 'event') == ARGV[5] and 1 or 0 end
set_tally(id, ARGV[8], ARGV[9], ARGV[10])

local a = load_account(name)
local full = release(id, a, state)
if ARGV[11] == '1' and a.probe_at > 0 then
  redis.call('HDEL', limit_key(name), 'hold', 'probe_at', 'probes')
  a.hold = nil
end
conclude(id, name, ARGV[4], ARGV[5], ARGV[6], ARGV[7])
refresh(a)
return full and 2 or 1
