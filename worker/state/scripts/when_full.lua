-- Prelude of scripts that a server without memory must run too, because they end what was begun or free memory. Such a server
-- accepts this write, which changes nothing, and then all that follow in the same script.

redis.call('PERSIST', KEYS[1])
