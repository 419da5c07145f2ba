-- Tells when there may be something to do: one cheap look in place of one of each loop.
-- Guarantees: changes nothing but the store's clock. No moment is told later than it is. A key of another type counts as due
-- now, for the script that needs the key tells of it.
-- KEYS shard prefixes
-- ARGV none
-- Reply: {now at the first shard (µs); in how long there may be something for `lease`, for `reclaim` and for `take_deliveries`
--      (µs, 0: now, -1: nothing waits); 1 if an outbox holds an event, else 0}. Beside it go the turn of each shard,
--      and as 'clock' the store's clock (µs) of the shards before it

TURNS = {}

local NEVER = math.huge

-- Returns in how long the first member of an index is due (µs).
local function first(index, now)
  local head = redis.pcall('ZRANGE', index, 0, 0, 'WITHSCORES')
  return head.err and 0 or head[2] and math.max(tonumber(head[2]) - now, 0) or NEVER
end

local begun = NOW
local lanes, overdue, deliveries, events = NEVER, NEVER, NEVER, 0

for n, shard in ipairs(KEYS) do
  enter(shard)
  local hooks, hook_leases, earlier = shard .. 'hooks', shard .. 'hook-leases', shard .. 'deliveries'
  -- In quiet times nothing exists, so one command asks about all.
  if redis.call('EXISTS', DUE, EXPIRY, LEASES, OUTBOX, hooks, hook_leases, earlier) > 0 then
    lanes = math.min(lanes, first(DUE, NOW))
    overdue = math.min(overdue, first(EXPIRY, NOW + LAG), first(LEASES, NOW))
    deliveries = math.min(deliveries, first(hooks, NOW), first(hook_leases, NOW), first(earlier, NOW))
    events = math.max(events, redis.call('EXISTS', OUTBOX))
  end
  -- Read and not taken, so that a worker that changes nothing knows it too, see docs/decisions/0030.
  local turn = redis.pcall('GET', shard .. 'turn') or '0'
  if type(turn) == 'string' then TURNS[#TURNS + 1], TURNS[#TURNS + 2] = shard, turn end
  if CLUSTER or n == #KEYS then TURNS[#TURNS + 1], TURNS[#TURNS + 2] = 'clock', int(NOW) end
end

local function told(wait) return wait < NEVER and int(wait) or '-1' end
return {int(begun), told(lanes), told(overdue), told(deliveries), events}
