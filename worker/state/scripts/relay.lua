-- Removes published events from the outboxes and returns the next ones, to the one relay that owns a shard's outbox.
-- Guarantees: an event leaves the outbox only after the relay that was given it has reported it published, in order. A relay
-- that publishes nothing loses the outbox.
-- KEYS shard prefixes
-- ARGV 1 the relay's token  2 how long it owns the outbox from now (ms)  3 most events of each shard
--      4… for each shard, the number of events published since the last call
-- Reply: for each shard a list of 'TYPE BODY'; empty if another relay owns the outbox or a key has another type

local token, own_ms, last = ARGV[1], ARGV[2], tonumber(ARGV[3]) - 1

local function next_batch(published)
  local batch = ask('LRANGE', OUTBOX, 0, published + last)
  if #batch == 0 then return batch end
  local lock = prefix .. 'relay'
  local owner = ask('GET', lock)
  if owner and owner ~= token or published > 0 and not owner then return {} end
  take_turn()
  if published > 0 then
    redis.call('LTRIM', OUTBOX, published, -1)
    batch = {unpack(batch, published + 1)}
  end
  if #batch == 0 then
    redis.call('DEL', lock)
  elseif not owner or published > 0 then
    redis.call('SET', lock, token, 'PX', own_ms)
  end
  return batch
end

local reply = {}
for n, shard in ipairs(KEYS) do
  enter(shard)
  local _, batch = apart(next_batch, tonumber(ARGV[3 + n]))
  reply[n] = batch or {}
end
return reply, WRONG
