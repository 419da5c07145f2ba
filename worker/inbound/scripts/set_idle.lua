-- Sets for how long a consumer has left its pending entries alone: 0 while it has them in hand, longer so that others may claim
-- them.
-- Guarantees: an entry that others have claimed meanwhile stays theirs. A stream or group that does not exist is no error.
-- KEYS 1 stream
-- ARGV 1 group  2 consumer  3 idle time (ms)  4… entries
-- Reply: how many of the entries are still the consumer's

local stream = KEYS[1]
local group, consumer, idle_ms = ARGV[1], ARGV[2], ARGV[3]

local own = 0
for n = 4, #ARGV do
  if #redis.pcall('XPENDING', stream, group, ARGV[n], ARGV[n], 1, consumer) == 1 then
    redis.call('XCLAIM', stream, group, consumer, 0, ARGV[n], 'IDLE', idle_ms, 'JUSTID')
    own = own + 1
  end
end
return own
