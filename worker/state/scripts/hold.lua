-- Holds an account at the operator's word, or resumes it.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 reason, '' to resume
-- Reply: 1 if something changed, else 0

local a = load_account(ARGV[1])
local key = limit_key(a.name)
if ARGV[2] == '' then
  local was = redis.call('HDEL', key, 'hold', 'probe_at', 'probes')
  a.hold = nil
  refresh(a)
  return was > 0 and 1 or 0
end
if a.hold == ARGV[2] then return 0 end
redis.call('HSET', key, 'hold', ARGV[2], 'probe_at', 0, 'probes', 0)
a.hold, a.probe_at = ARGV[2], 0
refresh(a)
return 1
