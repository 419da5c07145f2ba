-- Ends jobs in hand: of each, outcome, event and deliveries in one step. The newest fence alone may do it, once.
-- Guarantees: whatever stops the script, the jobs before are ended whole, and all may be given again.
-- KEYS 1 shard prefix
-- ARGV 1 retention (ms); then for each job
--      id  fence  account  status  event  endpoint keys, separated by spaces  sent  not rung  perhaps rung
--      '1': a probe got through, so the account's hold ends  digest (see worker/repeats.py)
-- Reply: for each job in order 1; 2 where a job that waited for this one's place in flight can go now; 0 where the fence is
-- old and nothing was changed. The same event again, whose reply was lost, is 1.

local FIELDS = 11
local accounts = {}

local function account(name)
  accounts[name] = accounts[name] or load_account(name)
  return accounts[name]
end

-- The first write is one that a server without memory refuses.
local function settle(id, fence, name, status, event, endpoints, sent, not_rung, perhaps, got_through, digest)
  local key = job_key(id)
  local f = redis.call('HMGET', key, 'fence', 'state', 'history', 'why', 'accepted', 'job')
  if f[1] ~= fence or not in_hand(f[2]) then return redis.call('HGET', key, 'event') == event and 1 or 0 end

  local a = account(name)
  conclude(id, name, status, event, ARGV[1], endpoints, 'sent', sent, 'not_rung', not_rung, 'perhaps', perhaps,
           'digest', digest, 'history', with_step(f[3], f[4], f[5], status))
  redis.call('HDEL', key, 'why', 'since', 'call', 'job')
  if not f[6] then redis.call('DEL', payload_key(id)) end
  local full, held = release(id, a, f[2]), a.hold
  if got_through == '1' and a.probe_at > 0 then
    redis.call('HDEL', limit_key(name), 'hold', 'probe_at', 'probes')
    a.hold = nil
  end
  -- A place more in flight changes when the account can go only where it had none, or waits for its probe.
  if full or held then refresh(a) end
  return full and 2 or 1
end

local reply = {}
for at = 2, #ARGV, FIELDS do
  reply[#reply + 1] = settle(unpack(ARGV, at, at + FIELDS - 1))
end
return reply
