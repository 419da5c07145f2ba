-- Makes the list of one reader's own, unless it is still there from before a connection was lost.
--
-- Guarantees: the list holds the events of the meantime, if it was still there, before the entry that is no message.
--
-- KEYS[1]  the list
-- ARGV[1]  how long it outlives this, in milliseconds
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then
    -- Redis has no empty lists, and workers put nothing into one that is not there.
    redis.call('RPUSH', KEYS[1], 'null')
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
