-- Leases waiting jobs whose slots have come: the account that is due for longest first, one job per account in turn.
-- Guarantees: with each lease, its slot is taken and the intent to dial is on record. No slot goes to a job that expires
-- before the slot.
-- KEYS shard prefixes; the jobs of the first shard come first
-- ARGV 1 most leases  2 lease (µs)  3 how far ahead a slot may be (µs)  4 name of the request, see `regain.lua`
-- Reply: {now (µs), when the next account is due (µs, 0: none), lease replies …, see README.md}

local MAX_SKIP = 100
-- A job whose slot opened so much later than it was ready has waited for its account's limit (µs), whatever it lacked when it
-- came.
local LIMITED = 100000

local most, lease_us, ahead_us, call = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local begun = NOW
local reply = {int(begun), '0'}
-- For how long from now on no account is due (µs), over all shards.
local idle_us

-- Returns the first job that is ready and can be dialled in time: its id, when it became ready (µs), and its row. Expired jobs
-- before it leave the lane; `reclaim` ends them.
local function live_head(a)
  local lane = lane_key(a.name)
  for _ = 1, MAX_SKIP do
    local head = ask('ZRANGE', lane, 0, 0, 'WITHSCORES')
    if not head[1] or tonumber(head[2]) > NOW + ahead_us then return nil end
    local id, ready = head[1], tonumber(head[2])
    local known, row = apart(fields_for_lease, id)
    if known and row[EXPIRES] and tonumber(row[EXPIRES]) > NOW + LAG + ahead_us then return id, ready, row end
    if known then
      redis.call('ZREM', lane, id)
      leave_ages(id, a.name, row)
    else
      put_off(lane, id)
    end
  end
end

local function of_workers(why) return why == 'no_places' or why == 'paused' end

local function lease_head(a)
  if a.inflight >= a.concurrency or (a.hold and not may_probe(a)) then return false end
  -- An account without a slot is left alone; its lane is not read.
  if not next_slot(a, a.hold and a.probe_at or 0, ahead_us) then return false end
  local id, ready, row = live_head(a)
  if not id then return false end
  local slot, tat = next_slot(a, a.hold and math.max(ready, a.probe_at) or ready, ahead_us)
  if not slot then return false end
  if not a.hold then
    local open = math.max(a.tat - a.tolerance, ready)
    note_bound(a, open)
    if of_workers(row[WHY]) and open - ready >= LIMITED then row[WHY] = 'rate_limit' end
  end
  redis.call('ZREM', lane_key(a.name), id)
  redis.call('ZREM', EXPIRY, id)
  leave_ages(id, a.name, row)
  reply[#reply + 1] = begin(id, row, a, slot, tat, lease_us, call)
  return true
end

-- Leases at most `turn` jobs of one account. Returns how many.
local function lease_some(name, turn)
  local a, leased = load_account(name), 0
  while leased < turn and lease_head(a) do leased = leased + 1 end
  refresh(a)
  return leased
end

-- Leases one job for each account that is due; an account that is due alone gets as many as it may. Returns the number of
-- jobs, and whether there may be more.
local function lease_round()
  local due = ask('ZRANGEBYSCORE', DUE, '-inf', int(NOW + ahead_us), 'LIMIT', 0, most)
  if #due == 0 then return 0, false end
  take_turn()
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
  if first and first - NOW < (idle_us or math.huge) then idle_us = first - NOW end
end

for _, shard in ipairs(KEYS) do apart(lease_from, shard) end
if idle_us then reply[2] = int(begun + idle_us) end
return reply, WRONG
