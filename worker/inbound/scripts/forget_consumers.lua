-- Removes the consumers of lost workers from a stream's group, if they have nothing pending.
-- Guarantees: no pending entry is forgotten with its consumer. A stream or group that does not exist is no error.
-- KEYS 1 stream
-- ARGV 1 group  2 how long a consumer must have been idle (ms)  3 a consumer that leaves now, '' for none
-- Reply: how many consumers were removed

local stream = KEYS[1]
local group, idle_ms, leaving = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local removed = 0
for _, fields in ipairs(redis.pcall('XINFO', 'CONSUMERS', stream, group)) do
  local consumer = {}
  for n = 1, #fields, 2 do consumer[fields[n]] = fields[n + 1] end
  local gone = consumer.name == leaving or consumer.idle >= idle_ms
  if gone and consumer.pending == 0 then
    redis.call('XGROUP', 'DELCONSUMER', stream, group, consumer.name)
    removed = removed + 1
  end
end
return removed
