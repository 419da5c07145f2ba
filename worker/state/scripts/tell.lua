-- Puts events that end no job on their way to the results queue.
-- Guarantees: they leave in their order, after all events of the shard that are on their way.
-- KEYS 1 shard prefix
-- ARGV for each event its type and its body
-- Reply: nothing

check('LLEN', OUTBOX)
for at = 1, #ARGV, 2 do redis.call('RPUSH', OUTBOX, ARGV[at] .. ' ' .. ARGV[at + 1]) end
