-- Puts filed messages back at the head of their lists: those given, or those filed before a moment.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags
-- ARGV 1 moment (Unix seconds), '' to name tags instead  2 … tags
-- Reply: how many went back

local tags = ARGV[1] == '' and {unpack(ARGV, 2)} or redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 500)
local restored = 0
for _, tag in ipairs(tags) do
  local filed = redis.call('HGET', KEYS[1], tag)
  redis.call('ZREM', KEYS[2], tag)
  redis.call('HDEL', KEYS[1], tag)
  if filed then
    local message, list
    if string.sub(tag, 1, 8) == 'foreign:' then
      local parts = cjson.decode(filed)
      message, list = parts[1], parts[3]
    else
      -- The message as it was, byte for byte: the filed form is '[' message ',' exchange ',' routing key ']'.
      local exchange, routing_key
      message, exchange, routing_key = string.match(filed, '^%[(.*),("[^"]*"),("[^"]*")%]$')
      list = message and cjson.decode('[' .. routing_key .. ']')[1]
    end
    if message then
      redis.call('RPUSH', list, message)
      redis.call('SADD', KEYS[3], tag)
      restored = restored + 1
    end
  end
end
return restored
