-- Prelude of scripts that a server without memory must run too, because they end what was begun or free memory. Such a server
-- accepts this write, and then all that follow in the same script.

redis.call('DEL', KEYS[1] .. 'full')
