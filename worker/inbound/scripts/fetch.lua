-- Removes acknowledged messages, takes messages from kombu's lists and files them as unacknowledged, in kombu's own format.
-- Guarantees: at every instant a message is in its list or filed. Lists that hold enough give equal numbers, except that a list
-- gives fewer where a message is too large, and that the first lists give one each where there is no room for one of each.
-- A message that is too large is filed cut, see `bounded`. The reply is at most 8 messages larger than asked for. A list of
-- another type is skipped.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4… lists
-- ARGV 1 most messages  2 most bytes in all  3 most bytes of one message  4 bytes kept of a larger one
--      5… tags that are acknowledged
-- Reply: {list of {tag, message, 1 if it was restored}, keys of another type, 1 if there may be more now, else 0}

local unacked, index, restored_tags = KEYS[1], KEYS[2], KEYS[3]
local most, most_bytes, whole, head = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

if ARGV[5] then
  tolerant('HDEL', unacked, unpack(ARGV, 5))
  tolerant('ZREM', index, unpack(ARGV, 5))
end

-- A worker asks far more often than messages come, so one command asks about all lists.
if most == 0 or redis.call('EXISTS', unpack(KEYS, 4)) == 0 then return {{}, wrong, 0} end

local fileable = is_type(unacked, 'hash')
fileable = is_type(index, 'zset') and fileable
local is_set, some_restored = is_type(restored_tags, 'set')
if not (fileable and is_set) then return {{}, wrong, 0} end

local clock = redis.call('TIME')
local now = string.format('%d.%06d', clock[1], clock[2])
local reply, entries, bytes, large = {}, {}, 0, false

-- How many messages are taken at a time; doubled each time, so that a large message is alone unless small ones came before it.
local chunk, MAX_CHUNK = 1, 8

-- Returns tag, exchange and routing key; or nil if the message is not kombu's.

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
    -- A message that is not kombu's is kept as a string under a tag of its own, so that it can be buried and is not lost.
    tag = 'foreign:' .. redis.sha1hex(message)
    filed = cjson.encode({message, '', list})
  end
  local restored = some_restored and redis.call('SREM', restored_tags, tag) or 0
  if redis.call('HSETNX', unacked, tag, filed) == 0 then
    -- Producers in other languages use one tag twice; the second message must not replace the first.
    tag = tag .. ':' .. now .. ':' .. #reply
    redis.call('HSET', unacked, tag, filed)
  end
  entries[#entries + 1] = now
  entries[#entries + 1] = tag
  reply[#reply + 1] = {tag, message, restored}
end

-- Takes `count` messages from a list. Returns whether it may hold more; after one that was too large, the next call finds out.
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
if #reply > 0 then redis.call('ZADD', index, unpack(entries)) end
return {reply, wrong, (is_full() or large) and 1 or 0}
