-- Takes messages from kombu's lists and files them as unacknowledged in the same step, in kombu's own format.
-- Guarantees: a message is in its list or filed, at every instant; each list gets its turn before one gets a second.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4 … lists
-- ARGV 1 most
-- Reply: list of {tag, message, 1 if it was restored}

local CHUNK = 16
local most = tonumber(ARGV[1])
local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
local reply = {}

local function envelope(message)
  local ok, document = pcall(cjson.decode, message)
  local properties = ok and type(document) == 'table' and document.properties
  if type(properties) ~= 'table' or type(properties.delivery_tag) ~= 'string' then return nil end
  local info = type(properties.delivery_info) == 'table' and properties.delivery_info or {}
  return properties.delivery_tag, info.exchange, info.routing_key
end

local function file(message, list)
  local tag, exchange, routing_key = envelope(message)
  local filed
  if tag and type(exchange) == 'string' and type(routing_key) == 'string' then
    filed = '[' .. message .. ',' .. cjson.encode(exchange) .. ',' .. cjson.encode(routing_key) .. ']'
  else
    -- Not kombu's: kept as a string, under a tag of its own, so that it can be buried and not lost.
    tag = 'foreign:' .. redis.sha1hex(message)
    filed = cjson.encode({message, '', list})
  end
  local restored = redis.call('SREM', KEYS[3], tag)
  -- Producers in other languages give the same tag twice; the second message must not take the first one's place.
  if redis.call('HEXISTS', KEYS[1], tag) == 1 then tag = tag .. ':' .. now .. ':' .. #reply end
  redis.call('HSET', KEYS[1], tag, filed)
  redis.call('ZADD', KEYS[2], now, tag)
  reply[#reply + 1] = {tag, message, restored}
end

local found = true
while found and #reply < most do
  found = false
  for n = 4, #KEYS do
    local messages = redis.call('RPOP', KEYS[n], math.max(math.min(CHUNK, most - #reply), 0))
    for _, message in ipairs(messages or {}) do
      found = true
      file(message, KEYS[n])
    end
  end
end
return reply
