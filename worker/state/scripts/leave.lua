-- Removes a worker that stops, so that it does not count as lost, and ends its election, so that another one follows at once.
-- Guarantees: the election of another worker stays. A server without memory accepts it too.
-- KEYS 1 callworker:workers  2 callworker:metrics
-- ARGV 1 id of the worker
-- Reply: 1

redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
