-- Rejects a job that names an account that does not exist. Its id stays free.
-- Guarantees: the event is written once while the job is remembered. A bounded number is remembered on each shard; the oldest
-- is forgotten for the newest. A job on record under the id stays unchanged.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account as named by the job  3 event  4 digest  5 how long it is remembered (ms)
--      6 how many are remembered on a shard
-- Reply: {1}, or {'seen', state, job, digest} if the job was rejected before or another job on record has the id

local id, name, event, digest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local keep_ms, most = tonumber(ARGV[5]), tonumber(ARGV[6])

local seen = as_seen(id)
if seen and seen[2] ~= CANCELED then return seen end
local named, told_digest, told_at = unpack(ask('HMGET', stranger_key(id), 'account', 'digest', 'told'))
if named == name and told_digest == digest and NOW - told_at < keep_ms * 1000 then
  return {'seen', 'rejected', '', digest}
end

check('LLEN', OUTBOX)
check('ZCARD', STRANGERS)
redis.call('RPUSH', OUTBOX, 'call.rejected ' .. event)
redis.call('HSET', stranger_key(id), 'account', name, 'state', 'rejected', 'event', event, 'digest', digest, 'told', int(NOW),
           'accepted', int(NOW + LAG), 'finished', int(NOW + LAG), 'history', line(NOW + LAG, 'rejected'))
redis.call('PEXPIRE', stranger_key(id), keep_ms)
redis.call('ZADD', STRANGERS, int(NOW), id)
redis.call('PEXPIRE', STRANGERS, keep_ms)
if redis.call('ZCARD', STRANGERS) > most then
  redis.call('DEL', stranger_key(redis.call('ZPOPMIN', STRANGERS)[1]))
end
return {1}
