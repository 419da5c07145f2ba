-- Puts a job in hand back into its lane. With a hold code, also holds its account.
-- Guarantees: the decision is written whole or not at all. While a hold waits for its next probe, further calls for the same
-- trouble do not lengthen it: the pause before a probe doubles with each probe that failed, not with each call that was in
-- flight when the trouble began.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 fence  3 account  4 wait (µs)  5 reason  6 requests sent  7 not rung  8 perhaps rung  9 detail for the history
--      10 hold code or ''  11 first pause before a probe (µs)  12 longest pause before a probe (µs)
-- Reply: {1}; {2} if a job that waited for this one's place in flight can go now; {0} if the fence may no longer decide and
-- nothing was changed; {3} if a key of another type stopped it and nothing was changed

local id, fence, name, wait_us, reason, sent, not_rung, perhaps, detail, hold_code, first_us, longest_us = unpack(ARGV)

local function hold(a)
  if hold_code == '' or a.hold and (a.probe_at == 0 or a.probe_at > NOW) then return end
  a.hold = hold_code
  a.probe_at = NOW + math.min(tonumber(first_us) * 2 ^ a.probes, tonumber(longest_us))
  redis.call('HSET', limit_key(name), 'hold', a.hold, 'probe_at', int(a.probe_at), 'probes', math.min(a.probes + 1, 30))
end

local function park()
  local held, state, judged = holds(id, fence)
  if not held then return 0 end
  local a = load_account(name)
  check('ZCARD', LEASES, EXPIRY)
  set_tally(id, sent, not_rung, perhaps)
  if judged then take_back(id, name) end
  local full = release(id, a, state)
  hold(a)
  wait_in_lane(id, name, NOW + tonumber(wait_us), redis.call('HGET', job_key(id), 'expires'), reason, detail)
  refresh(a)
  return full and 2 or 1
end

local _, word = apart(park)
return {word or 3}, WRONG
