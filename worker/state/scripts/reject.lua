-- Records a job that is not valid or not allowed as ended, unless its id was seen before.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account as named by the job  3 event  4 retention (ms)  5 endpoint keys, separated by spaces
-- Reply: 1, or 0 where the id was seen and nothing was changed

local id = ARGV[1]
if redis.call('EXISTS', job_key(id)) == 1 then return 0 end
redis.call('HSET', job_key(id), 'account', ARGV[2], 'accepted', int(NOW))
conclude(id, ARGV[2], 'rejected', ARGV[3], ARGV[4], ARGV[5], 'history', with_step(nil, nil, nil, 'rejected'))
return 1
