-- Leases the waiting jobs whose slot has come, at most ARGV[1], the longest due account first, one per account in turn.
-- Guarantees: with each lease its slot is taken and the intent to dial is on record; no slot goes to a job that expires
-- before the slot.
-- KEYS shard prefixes; the jobs of the first come first
-- ARGV 1 most  2 lease (µs)  3 how far ahead a slot may lie (µs)  4 the call's name, see `regain.lua`
-- Reply: {now (µs), next moment at which an account is due (µs, 0: none), lease replies …}

local MAX_SKIP = 100

local most, lease, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {int(NOW), '0'}
local due_next

-- The first job that is ready and can be dialled in time, when it became ready, and its fields. Those before it leave
-- the lane; `reclaim` ends them.
local function live_head(lane)
  for _ = 1, MAX_SKIP do
    local head = ask('ZRANGE', lane, 0, 0, 'WITHSCORES')
    if not head[1] or tonumber(head[2]) > NOW + ahead then return nil end
    local known, f = apart(fields_for_lease, head[1])
    if known and f[3] and tonumber(f[3]) > NOW + LAG + ahead then return head[1], tonumber(head[2]), f end
    if known then redis.call('ZREM', lane, head[1]) else put_off(lane, head[1]) end
  end
end

local function lease_head(a)
  if a.inflight >= a.concurrency or (a.hold and not may_probe(a)) then return false end
  -- An account without a slot is left as it is, whatever other accounts are due.
  if not next_slot(a, a.hold and a.probe_at or 0, ahead) then return false end
  local id, ready, f = live_head(lane_key(a.name))
  if not id then return false end
  local slot, tat = next_slot(a, a.hold and math.max(ready, a.probe_at) or ready, ahead)
  if not slot then return false end
  redis.call('ZREM', lane_key(a.name), id)
  redis.call('ZREM', EXPIRY, id)
  reply[#reply + 1] = begin(id, f, a, slot, tat, lease, ARGV[4])
  return true
end

-- The jobs of an account whose turn it is: how many, at most `turn`.
local function lease_some(name, turn)
  local a, leased = load_account(name), 0
  while leased < turn and lease_head(a) do leased = leased + 1 end
  refresh(a)
  return leased
end

-- One job for each account that is due; where no other one is, it need not wait for its turn. How many jobs in all, and
-- whether there may be more.
local function lease_round()
  local due = ask('ZRANGEBYSCORE', DUE, '-inf', int(NOW + ahead), 'LIMIT', 0, most)
  if #due == 0 then return 0, false end
  check('ZCARD', LEASES, EXPIRY)
  local leased, put_aside = 0, false
  for _, name in ipairs(due) do
    local done, some = apart(lease_some, name, #due == 1 and most or 1)
    leased = leased + (some or 0)
    if not done then
      put_off(DUE, name)
      put_aside = true
    end
  end
  return leased, leased > 0 or put_aside
end

local function lease_from(shard)
  enter(shard)
  local more = most > 0
  while more do
    local leased
    leased, more = lease_round()
    most = most - leased
    more = more and most > 0
  end
  local first = tonumber(ask('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2])
  if first and first < (due_next or math.huge) then due_next = first end
end

for _, shard in ipairs(KEYS) do apart(lease_from, shard) end
reply[2] = int(due_next or 0)
return reply, WRONG
