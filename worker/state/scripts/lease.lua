-- Leases the waiting jobs whose slot has come, at most ARGV[1], the longest due account first, one per account in turn.
-- Guarantees: with each lease its slot is taken and the intent to dial is on record.
-- KEYS 1 shard prefix
-- ARGV 1 most  2 lease (µs)  3 how far ahead a slot may lie (µs)
-- Reply: {now (µs), next moment at which an account is due (µs, 0: none), lease replies …}

local most, lease, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local reply = {int(NOW), '0'}

local function lease_head(a)
  if a.inflight >= a.concurrency or (a.hold and not (may_probe(a) and a.probe_at <= NOW)) then return false end
  local head = redis.call('ZRANGE', lane_key(a.name), 0, 0, 'WITHSCORES')
  if not head[1] or tonumber(head[2]) > NOW then return false end
  local slot, tat = next_slot(a, tonumber(head[2]), ahead)
  if not slot then return false end
  redis.call('ZREM', lane_key(a.name), head[1])
  redis.call('ZREM', EXPIRY, head[1])
  reply[#reply + 1] = begin(head[1], a, slot, tat, lease)
  return true
end

while most > 0 do
  local due = redis.call('ZRANGEBYSCORE', DUE, '-inf', int(NOW + ahead), 'LIMIT', 0, most)
  local leased = 0
  for _, name in ipairs(due) do
    local a = load_account(name)
    if lease_head(a) then leased = leased + 1 end
    refresh(a)
  end
  most = most - leased
  if leased == 0 then break end
end

reply[2] = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2] or '0'
return reply
