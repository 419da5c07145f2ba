-- Notes on a job's record that another job came under its id and was dropped.
-- Guarantees: only the count and the time of conflicts change; a job that is not on record is not created.
-- KEYS 1 shard prefix
-- ARGV 1 id
-- Reply: nothing

local key = job_key(ARGV[1])
local state, conflicts = unpack(ask('HMGET', key, 'state', 'conflicts'))
if state then redis.call('HSET', key, 'conflicts', int((conflicts or 0) + 1), 'conflict_at', int(NOW + LAG)) end
