-- Lets workers take jobs in and dial again.
-- Guarantees: this also removes a key of another type.
-- KEYS 1 callworker:drain
-- ARGV none
-- Reply: 1 if there was a drain, else 0

local key = KEYS[1]
return redis.call('DEL', key)
