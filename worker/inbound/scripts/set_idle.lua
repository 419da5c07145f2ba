-- Says for how long a consumer has not seen entries that are pending for it: 0, they are in hand; long, others may claim
-- them.
-- Guarantees: an entry that others have claimed meanwhile stays theirs; a stream or group that is not there is no error.
-- KEYS 1 stream
-- ARGV 1 group  2 consumer  3 idle time (ms)  4 … entries
-- Reply: how many of the entries are still the consumer's

local own = 0
for n = 4, #ARGV do
  if #redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[n], ARGV[n], 1, ARGV[2]) == 1 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[n], 'IDLE', ARGV[3], 'JUSTID')
    own = own + 1
  end
end
return own
