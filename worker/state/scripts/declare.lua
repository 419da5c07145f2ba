-- Makes an account's pace known, so that its backlog goes by it from now on. For a worker whose accounts file is the newest of
-- those that living workers have: a newer one's word, whose workers are gone, does not stand against it.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 pace  3 generation of the accounts file
-- Reply: nil

local key = limit_key(ARGV[1])
check('ZCARD', lane_key(ARGV[1]), DUE)
check('HLEN', key)
redis.call('HSET', key, 'pace', ARGV[2], 'generation', ARGV[3])
refresh(load_account(ARGV[1]))
