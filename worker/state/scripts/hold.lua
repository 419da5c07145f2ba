-- Holds an account on an operator's order, or resumes it.
-- Guarantees: a held account's jobs stay in their lane until an operator resumes it; no probe is made. Resuming ends every
-- hold, also one that the provider's answers caused.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 reason, '' to resume
-- Reply: 1 if this changed anything, else 0

local name, reason = unpack(ARGV)

local a = load_account(name)
local key = limit_key(name)
if reason == '' then
  local held = a.hold
  redis.call('HDEL', key, 'hold', 'probe_at', 'probes', 'bound')
  a.hold = nil
  refresh(a)
  return held and 1 or 0
end
if a.hold == reason then return 0 end
redis.call('HSET', key, 'hold', reason, 'probe_at', 0, 'probes', 0)
a.hold, a.probe_at = reason, 0
refresh(a)
return 1
