-- First words of scripts that write to a server without memory as well, as they end what was begun or make room: it lets this
-- write through, and after it all that follow in the same script.

redis.call('DEL', KEYS[1] .. 'full')
