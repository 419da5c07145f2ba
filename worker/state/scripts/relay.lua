-- Strikes off what was published and hands out what is next, to the one relay that owns the shard's outbox.
-- Guarantees: an event leaves the outbox only at the word of the relay that was given it, in order; a relay that
-- publishes nothing loses the outbox.
-- KEYS 1 shard prefix
-- ARGV 1 the relay's token  2 how long it owns the outbox from now (ms)  3 events published since the last call
--      4 most
-- Reply: list of 'TYPE BODY'; nil where another relay owns the outbox

local lock = prefix .. 'relay'
local owner = redis.call('GET', lock)
if owner and owner ~= ARGV[1] then return false end
if tonumber(ARGV[3]) > 0 then
  if not owner then return {} end
  redis.call('LTRIM', OUTBOX, ARGV[3], -1)
end
local batch = redis.call('LRANGE', OUTBOX, 0, tonumber(ARGV[4]) - 1)
if #batch == 0 then
  redis.call('DEL', lock)
elseif not owner or tonumber(ARGV[3]) > 0 then
  redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
end
return batch
