-- Leases the waiting jobs whose slot has come, at most ARGV[1], the longest due account first, one per account in turn.
-- Guarantees: with each lease its slot is taken and the intent to dial is on record; no slot goes to a job that expires
-- before the slot.
-- KEYS shard prefixes; the jobs of the first come first
-- ARGV 1 most  2 lease (µs)  3 how far ahead a slot may lie (µs)  4 the call's name, see `regain.lua`
-- Reply: {now (µs), next moment at which an account is due (µs, 0: none), lease replies …}

local SKIP_MOST = 100

local most, lease, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {int(NOW), '0'}
local due_next

-- The first job that is ready and can be dialled in time, when it became ready, and its fields. Those before it leave
-- the lane; `reclaim` ends them.
local function live_head(lane)
  for _ = 1, SKIP_MOST do
    local head = redis.call('ZRANGE', lane, 0, 0, 'WITHSCORES')
    if not head[1] or tonumber(head[2]) > NOW + ahead then return nil end
    local f = fields_for_lease(head[1])
    if f[3] and tonumber(f[3]) > NOW + LAG + ahead then return head[1], tonumber(head[2]), f end
    redis.call('ZREM', lane, head[1])
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

for _, shard in ipairs(KEYS) do
  enter(shard)
  while most > 0 do
    local due = redis.call('ZRANGEBYSCORE', DUE, '-inf', int(NOW + ahead), 'LIMIT', 0, most)
    -- With no other one due, an account need not wait for its turn.
    local leased, turn = 0, #due == 1 and most or 1
    for _, name in ipairs(due) do
      local a = load_account(name)
      for _ = 1, turn do
        if not lease_head(a) then break end
        leased = leased + 1
      end
      refresh(a)
    end
    most = most - leased
    if leased == 0 then break end
  end
  local first = tonumber(redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2])
  if first and first < (due_next or math.huge) then due_next = first end
end

reply[2] = int(due_next or 0)
return reply
