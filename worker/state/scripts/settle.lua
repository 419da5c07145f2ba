-- Ends jobs in hand: of each, outcome, event and deliveries in one step, once. The newest fence may do it; so may the one that
-- was judged lost, see `holds`; and any that brings a ref, for then a phone rang, whoever dials by now.
-- Guarantees: whatever stops the script, the jobs before are ended whole, and all may be given again.
-- KEYS 1 shard prefix
-- ARGV 1 retention (ms); then for each job
--      id  fence  account  status  event  endpoint keys, separated by spaces  sent  not rung  perhaps rung
--      '1': a probe got through, so the account's hold ends  digest (see worker/core/repeats.py)
-- Reply: for each job in order 1; 2 where a job that waited for this one's place in flight can go now; 0 where the fence
-- has no say any more and nothing was changed; 3 where a wrong key stands in the way and nothing was changed. The same event
-- again, whose reply was lost, is 1.

local FIELDS = 11
local accounts = {}

local function account(name)
  accounts[name] = accounts[name] or load_account(name)
  return accounts[name]
end

local function may_settle(f, fence, status)
  if f[1] == fence and in_hand(f[2]) then return true end
  local open = in_hand(f[2]) or f[2] == 'waiting'
  return open and (f[7] == fence and f[2] ~= 'dialling' or status == 'placed' and tonumber(fence) < tonumber(f[1] or 0))
end

local function settle(id, fence, name, status, event, endpoints, sent, not_rung, perhaps, got_through, digest)
  local key = job_key(id)
  local f = ask('HMGET', key, 'fence', 'state', 'history', 'why', 'accepted', 'job', 'judged')
  if not may_settle(f, fence, status) then return redis.call('HGET', key, 'event') == event and 1 or 0 end

  local a, late = account(name), f[1] ~= fence
  check('ZCARD', LEASES, late and EXPIRY or nil)
  check_way_out(endpoints)
  if late then take_back(id, name) end
  conclude(id, name, status, event, ARGV[1], endpoints, 'sent', sent, 'not_rung', not_rung, 'perhaps', perhaps,
           'digest', digest, 'history', with_step(f[3], f[4], f[5], status))
  redis.call('HDEL', key, 'why', 'since', 'call', 'job', 'judged')
  if not f[6] then redis.call('DEL', payload_key(id)) end
  local full, held = release(id, a, f[2]), a.hold
  if got_through == '1' and a.probe_at > 0 then
    redis.call('HDEL', limit_key(name), 'hold', 'probe_at', 'probes')
    a.hold = nil
  end
  -- A place more in flight changes when the account can go only where it had none, or waits for its probe.
  if full or held or late then refresh(a) end
  return full and 2 or 1
end

local reply = {}
for at = 2, #ARGV, FIELDS do
  local _, word = apart(settle, unpack(ARGV, at, at + FIELDS - 1))
  reply[#reply + 1] = word or 3
end
return reply, WRONG
