-- Strikes off what is acknowledged, takes messages from kombu's lists and files them as unacknowledged in the same step, in
-- kombu's own format.
-- Guarantees: a message is in its list or filed, at every instant; lists that hold enough give the same number of messages,
-- or, where there is not room for one of each, the first ones give one.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4 … lists
-- ARGV 1 most  2 … tags that are acknowledged
-- Reply: list of {tag, message, 1 if it was restored}

if ARGV[2] then
  redis.call('HDEL', KEYS[1], unpack(ARGV, 2))
  redis.call('ZREM', KEYS[2], unpack(ARGV, 2))
end

-- A worker looks far more often than there is something: one command for all lists then, not one each.
local most = tonumber(ARGV[1])
if most == 0 or redis.call('EXISTS', unpack(KEYS, 4)) == 0 then return {} end

local some_restored = redis.call('EXISTS', KEYS[3]) == 1
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
  local restored = some_restored and redis.call('SREM', KEYS[3], tag) or 0
  if redis.call('HSETNX', KEYS[1], tag, filed) == 0 then
    -- Producers in other languages give the same tag twice; the second message must not take the first one's place.
    tag = tag .. ':' .. now .. ':' .. #reply
    redis.call('HSET', KEYS[1], tag, filed)
  end
  redis.call('ZADD', KEYS[2], now, tag)
  reply[#reply + 1] = {tag, message, restored}
end

-- Whether the list may hold more than these.
local function take(list, count)
  local messages = redis.call('RPOP', list, count) or {}
  for _, message in ipairs(messages) do file(message, list) end
  return #messages == count
end

local lists = {unpack(KEYS, 4)}
while #lists > 0 and #reply < most do
  local share, left = math.max(math.floor((most - #reply) / #lists), 1), {}
  for _, list in ipairs(lists) do
    if #reply < most and take(list, share) then left[#left + 1] = list end
  end
  lists = left
end
return reply
