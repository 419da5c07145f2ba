-- Puts filed messages back at the head of their lists: those given, or those that nobody kept for a while.
-- Guarantees: a message is struck off only together with its return to a list. A filed form that cannot be read stays
-- filed, as if it was filed now, so that it neither blocks the others nor comes up again at once.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4 … lists
-- ARGV 1 how long ago they were filed, at least (s), '' to name tags instead  2 most, oldest first  3 … tags
-- Reply: {how many went back, list of {tag, filed form that cannot be read}}

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local restored, unreadable = 0, {}
local lists = {}
for n = 4, #KEYS do lists[KEYS[n]] = true end

local function chosen()
  if ARGV[1] == '' then return {unpack(ARGV, 3)} end
  local moment = string.format('%.6f', now - tonumber(ARGV[1]))
  return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', moment, 'LIMIT', 0, tonumber(ARGV[2]))
end

local function strike_off(tag)
  redis.call('ZREM', KEYS[2], tag)
  redis.call('HDEL', KEYS[1], tag)
end

-- Where the JSON string begins that ends with the quotation mark at `last`: at a mark that no backslash escapes.
local function string_start(text, last)
  local at = last - 1
  while at > 0 do
    if string.byte(text, at) == 34 then
      local slashes = at - 1
      while string.byte(text, slashes) == 92 do slashes = slashes - 1 end
      if (at - slashes) % 2 == 1 then return at end
    end
    at = at - 1
  end
end

-- The text before the string with which `text` ends, its comma and spaces too.
local function before_last_string(text)
  local last = string.find(text, '"%s*$')
  local start = last and string_start(text, last)
  return start and string.match(string.sub(text, 1, start - 1), '^(.*%S)%s*,%s*$')
end

-- Message and list of the filed form `[message, exchange, routing key]`. The message is cut out byte for byte: to decode
-- and encode it would change numbers and empty lists. A string is a message that is not kombu's.
local function contents(filed)
  local ok, parts = pcall(cjson.decode, filed)
  if not ok or type(parts) ~= 'table' or type(parts[3]) ~= 'string' then return nil end
  -- A routing key of an exchange of the producer's own names none of our lists; all that is filed came from one.
  local list = lists[parts[3]] and parts[3] or KEYS[4]
  if type(parts[1]) == 'string' then return parts[1], list end
  local rest = before_last_string(string.match(filed, '^(.*)%]%s*$') or '')
  rest = rest and before_last_string(rest)
  return rest and string.match(rest, '^%s*%[%s*(.+)$'), list
end

for _, tag in ipairs(chosen()) do
  local filed = redis.call('HGET', KEYS[1], tag)
  local message, list
  if filed then message, list = contents(filed) end
  if message then
    redis.call('RPUSH', list, message)
    redis.call('SADD', KEYS[3], tag)
    restored = restored + 1
  elseif filed then
    redis.call('ZADD', KEYS[2], string.format('%.6f', now), tag)
    unreadable[#unreadable + 1] = {tag, filed}
  end
  if message or not filed then strike_off(tag) end
end
return {restored, unreadable}
