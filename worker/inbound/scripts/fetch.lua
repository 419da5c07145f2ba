-- Strikes off what is acknowledged, takes messages from kombu's lists and files them as unacknowledged in the same step, in
-- kombu's own format.
-- Guarantees: a message is in its list or filed, at every instant; lists that hold enough give alike, but for a few messages
-- where one is too large, or, where there is not room for one of each, the first ones give one. What is too large is filed as
-- `bounded` has it. The reply is at most 8 messages larger than asked for. A list that holds something else is passed over.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4 … lists
-- ARGV 1 most messages  2 most bytes in all  3 most bytes of one  4 what is kept of a larger one  5 … tags that are
--      acknowledged
-- Reply: {list of {tag, message, 1 if it was restored}, keys of a wrong type, 1 if there may be more now, else 0}

-- So many at a time, twice as many each time: a large message is alone, unless small ones came before it.
local chunk, MAX_CHUNK = 1, 8
local most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local whole, head = tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[5] then
  tolerant('HDEL', KEYS[1], unpack(ARGV, 5))
  tolerant('ZREM', KEYS[2], unpack(ARGV, 5))
end

-- A worker looks far more often than there is something: one command for all lists then, not one each.
if most == 0 or redis.call('EXISTS', unpack(KEYS, 4)) == 0 then return {{}, wrong, 0} end

local fileable = is_type(KEYS[1], 'hash')
fileable = is_type(KEYS[2], 'zset') and fileable
local is_set, some_restored = is_type(KEYS[3], 'set')
if not (fileable and is_set) then return {{}, wrong, 0} end

local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
local reply, index, bytes, large = {}, {}, 0, false

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
  index[#index + 1] = now
  index[#index + 1] = tag
  reply[#reply + 1] = {tag, message, restored}
end

-- Whether the list may hold more than these; where one was too large that is for the next time to see.
local function take(list, count)
  local messages = tolerant('RPOP', list, count) or {}
  local all_small = true
  for _, message in ipairs(messages) do
    all_small = all_small and #message <= whole
    message = bounded(message, whole, head)
    bytes = bytes + #message
    file(message, list)
  end
  large = large or not all_small
  chunk = all_small and math.min(chunk * 2, MAX_CHUNK) or 1
  return all_small and #messages == count
end

local function is_full() return #reply >= most or bytes >= most_bytes end

local lists = {unpack(KEYS, 4)}
while #lists > 0 and not is_full() do
  local share, left = math.max(math.floor((most - #reply) / #lists), 1), {}
  for _, list in ipairs(lists) do
    if not is_full() and take(list, math.min(share, chunk)) then left[#left + 1] = list end
  end
  lists = left
end
if #reply > 0 then redis.call('ZADD', KEYS[2], unpack(index)) end
return {reply, wrong, (is_full() or large) and 1 or 0}
