-- Holds an account on an operator's order, or resumes it.
-- Guarantees: a held account's jobs stay in their lane until an operator resumes it; no probe is made. Resuming ends every
-- hold, also one that the provider's answers caused.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 reason, '' to resume  3 '1' to leave what an operator holds already as it is; to resume, the reason that the
--      hold must have, '' for any
-- Reply: 1 if this changed anything, else 0

local name, reason, only = unpack(ARGV)

local a = load_account(name)
local key = limit_key(name)
if reason == '' then
  local held = a.hold
  if only ~= '' and held ~= only then return 0 end
  redis.call('HDEL', key, 'hold', 'probe_at', 'probes', 'bound')
  a.hold = nil
  refresh(a)
  return held and 1 or 0
end
if a.hold == reason or only == '1' and a.hold and a.probe_at == 0 then return 0 end
redis.call('HSET', key, 'hold', reason, 'probe_at', 0, 'probes', 0)
a.hold, a.probe_at = reason, 0
refresh(a)
return 1
