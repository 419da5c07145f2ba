-- Puts filed messages back at the head of their lists: those given, or those that nobody kept for a while.
-- Guarantees: a message is struck off only together with its return to a list. A filed form that cannot be read stays
-- filed, as if it was filed now, so that it neither blocks the others nor comes up again at once; so does one whose list
-- holds something else. One that is too large is filed and told as `bounded` has it.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4 … lists
-- ARGV 1 how long ago they were filed, at least (s), '' to name tags instead  2 most, oldest first  3 most bytes of all those
--      4 most bytes of one  5 what is kept of a larger one  6 … tags
-- Reply: {how many went back, list of {tag, filed form that cannot be read}, keys of a wrong type, 1 if there may be more, else 0}

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local most, most_bytes, whole, head = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local restored, unreadable, seen, bytes = 0, {}, 0, 0
local lists = {}
for n = 4, #KEYS do lists[KEYS[n]] = true end

local function chosen()
  if ARGV[1] == '' then return {unpack(ARGV, 6)} end
  local moment = string.format('%.6f', now - tonumber(ARGV[1]))
  return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', moment, 'LIMIT', 0, most)
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

local function keep_filed(tag) redis.call('ZADD', KEYS[2], string.format('%.6f', now), tag) end

local function put_back(tag, filed)
  local message, list
  if #filed <= whole + 1024 then message, list = contents(filed) end
  if not message then
    local told = bounded(filed, whole, head)
    if #told < #filed then redis.call('HSET', KEYS[1], tag, cjson.encode({told, '', KEYS[4]})) end
    keep_filed(tag)
    unreadable[#unreadable + 1] = {tag, told}
  elseif tolerant('RPUSH', list, message) then
    redis.call('SADD', KEYS[3], tag)
    strike_off(tag)
    restored = restored + 1
  else
    keep_filed(tag)
  end
end

local fileable = is_type(KEYS[1], 'hash')
fileable = is_type(KEYS[2], 'zset') and fileable
if not (is_type(KEYS[3], 'set') and fileable) then return {0, {}, wrong, 0} end

local tags = chosen()
for _, tag in ipairs(tags) do
  if ARGV[1] == '' or bytes < most_bytes then
    local filed = redis.call('HGET', KEYS[1], tag)
    seen, bytes = seen + 1, bytes + #(filed or '')
    if filed then put_back(tag, filed) else strike_off(tag) end
  end
end
return {restored, unreadable, wrong, (ARGV[1] ~= '' and (#tags == most or seen < #tags)) and 1 or 0}
