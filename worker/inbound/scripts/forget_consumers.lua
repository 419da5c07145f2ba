-- Removes from a stream's group the consumers of workers that are gone, as far as they have nothing pending.
-- Guarantees: no pending entry is forgotten with its consumer; a stream or group that is not there is no error.
-- KEYS 1 stream
-- ARGV 1 group  2 how long a consumer has been idle, at least (ms)  3 one that leaves now, '' for none
-- Reply: how many were removed

local removed = 0
for _, fields in ipairs(redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for n = 1, #fields, 2 do consumer[fields[n]] = fields[n + 1] end
  local gone = consumer.name == ARGV[3] or consumer.idle >= tonumber(ARGV[2])
  if gone and consumer.pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed = removed + 1
  end
end
return removed
