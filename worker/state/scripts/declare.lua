-- Sets an account's pace, so that its waiting jobs follow it from now on. A worker calls it while no living worker has a newer
-- accounts file.
-- Guarantees: the pace replaces any other, also one from a newer file whose workers are gone.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 pace  3 generation of the accounts file
-- Reply: nothing

local name, pace, generation = unpack(ARGV)

local key = limit_key(name)
check('ZCARD', lane_key(name), DUE)
check('HLEN', key)
redis.call('HSET', key, 'pace', pace, 'generation', generation)
refresh(load_account(name))
