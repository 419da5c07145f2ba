-- Records a job that is not valid or not allowed as ended, unless its id was seen before.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account as named by the job  3 event  4 digest  5 retention (ms)  6 endpoint keys, separated by spaces
-- Reply: {1}, or {'seen', state, job, digest} where the id was seen and nothing was changed

local id = ARGV[1]
local seen = as_seen(id)
if seen then return seen end
check_way_out(ARGV[6])
conclude(id, ARGV[2], 'rejected', ARGV[3], ARGV[5], ARGV[6], 'account', ARGV[2], 'accepted', int(NOW + LAG), 'digest', ARGV[4],
         'history', with_step(nil, nil, nil, 'rejected'))
return {1}
