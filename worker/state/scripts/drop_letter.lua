-- Takes one dead letter off the list, and its bytes off the count.
-- KEYS 1 callworker:dead  2 {callworker:dead}:bytes
-- ARGV 1 the letter, as it stands in the list
-- Reply: 1, or 0 where it is not there

local dropped = redis.call('LREM', KEYS[1], 1, ARGV[1])
if dropped == 1 and redis.call('EXISTS', KEYS[2]) == 1 then redis.call('DECRBY', KEYS[2], #ARGV[1]) end
return dropped
