-- Notes at a job on record that another job came under its id, and was dropped.
-- KEYS 1 shard prefix
-- ARGV 1 id
-- Reply: nil

local key = job_key(ARGV[1])
local conflicts = ask('HMGET', key, 'state', 'conflicts')
if conflicts[1] then redis.call('HSET', key, 'conflicts', int((conflicts[2] or 0) + 1), 'conflict_at', int(NOW + LAG)) end
