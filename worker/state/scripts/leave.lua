-- Removes a worker that stops, so that it does not count as lost, and ends its election, so that another one follows at once.
-- Guarantees: the election of another worker stays. A server without memory accepts it too.
-- KEYS 1 callworker:workers  2 callworker:metrics
-- ARGV 1 id of the worker
-- Reply: 1

local id, workers, elected = ARGV[1], KEYS[1], KEYS[2]

redis.call('HDEL', workers, id)
if redis.call('GET', elected) == id then redis.call('DEL', elected) end
return 1
