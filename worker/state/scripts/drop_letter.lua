-- Removes one dead letter from the list, and its bytes from the count.
-- Guarantees: both change together. A letter that is not in the list changes nothing.
-- KEYS 1 callworker:dead  2 {callworker:dead}:bytes
-- ARGV 1 the letter, exactly as it is in the list
-- Reply: 1, or 0 if the letter is not in the list

local list, count = KEYS[1], KEYS[2]
local letter = ARGV[1]

local dropped = redis.call('LREM', list, 1, letter)
if dropped == 1 and redis.call('EXISTS', count) == 1 then redis.call('DECRBY', count, #letter) end
return dropped
