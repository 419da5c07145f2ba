-- Records a job's outcome and publishes its event, in one step.
-- KEYS 1 the job's hash  2 the list of results
-- ARGV 1 state  2 event  3 how long the record stays (s)

redis.call('HSET', KEYS[1], 'state', ARGV[1], 'event', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('RPUSH', KEYS[2], ARGV[2])
return 1
