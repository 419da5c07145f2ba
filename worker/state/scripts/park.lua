-- Puts a job in hand back into its lane, and holds its account where a reason for that is given. The pause before the
-- next probe doubles with each probe that failed, not with each call that was in flight when the trouble began.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 wait (µs)  5 reason  6 sent  7 not rung  8 perhaps rung  9 detail for the history
--      10 hold code or ''  11 first pause before a held account is probed (µs)  12 longest such pause (µs)
-- Reply: {1}; {2} where a job that waited for this one's place in flight can go now; {0} where the fence has no say any more
-- and nothing was changed; {3} where a wrong key stands in the way and nothing was changed

local id, name = ARGV[1], ARGV[3]
local function hold(a)
  if ARGV[10] == '' or a.hold and (a.probe_at == 0 or a.probe_at > NOW) then return end
  a.hold = ARGV[10]
  a.probe_at = NOW + math.min(tonumber(ARGV[11]) * 2 ^ a.probes, tonumber(ARGV[12]))
  redis.call('HSET', limit_key(name), 'hold', a.hold, 'probe_at', int(a.probe_at), 'probes', math.min(a.probes + 1, 30))
end

local function park()
  local held, state, judged = holds(id, ARGV[2])
  if not held then return 0 end
  local a = load_account(name)
  check('ZCARD', LEASES, EXPIRY)
  set_tally(id, ARGV[6], ARGV[7], ARGV[8])
  if judged then take_back(id, name) end
  local full = release(id, a, state)
  hold(a)
  wait_in_lane(id, name, NOW + tonumber(ARGV[4]), redis.call('HGET', job_key(id), 'expires'), ARGV[5], ARGV[9])
  refresh(a)
  return full and 2 or 1
end

local _, word = apart(park)
return {word or 3}, WRONG
