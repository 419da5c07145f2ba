-- Puts filed messages back at the head of their lists: the given ones, or those that nobody has kept for a while.
-- Guarantees: a message is removed only together with its return to a list. A filed form that cannot be read stays filed, as
-- if filed now, so that it neither blocks the others nor comes up again at once. So does one whose list has another type. One
-- that is too large is filed and reported cut, see `bounded`.
-- KEYS 1 hash of unacknowledged messages  2 sorted set of their tags by time  3 set of restored tags  4… lists
-- ARGV 1 least time since they were filed (s), '' to name tags instead  2 most messages, oldest first  3 most bytes of all
--      4 most bytes of one message  5 bytes kept of a larger one  6… tags
-- Reply: {how many went back, list of {tag, filed form that cannot be read}, keys of another type, 1 if there may be more,
--      else 0}

local unacked, index, restored_tags, first_list = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local age_seconds, most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole, head = tonumber(ARGV[4]), tonumber(ARGV[5])

local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local restored, unreadable, seen, bytes = 0, {}, 0, 0
local lists = {}
for n = 4, #KEYS do lists[KEYS[n]] = true end

local function chosen()
  if not age_seconds then return {unpack(ARGV, 6)} end
  local moment = string.format('%.6f', now - age_seconds)
  return redis.call('ZRANGEBYSCORE', index, '-inf', moment, 'LIMIT', 0, most)
end

local function remove(tag)
  redis.call('ZREM', index, tag)
  redis.call('HDEL', unacked, tag)
end

-- Returns where the JSON string begins that ends with the quotation mark at `last`: at a mark that no backslash escapes.
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

-- Returns `text` without the string at its end, and without the comma and spaces before that string.
local function before_last_string(text)
  local last = string.find(text, '"%s*$')
  local start = last and string_start(text, last)
  return start and string.match(string.sub(text, 1, start - 1), '^(.*%S)%s*,%s*$')
end

-- Returns message and list of a filed form `[message, exchange, routing key]`; or nil if it cannot be read. The message is cut
-- out byte for byte: decoding and encoding it would change numbers and empty lists. A string is a message that is not kombu's.
local function contents(filed)
  local ok, parts = pcall(cjson.decode, filed)
  if not ok or type(parts) ~= 'table' or type(parts[3]) ~= 'string' then return nil end
  -- A routing key of a producer's own exchange names none of our lists, but every filed message came from one of them.
  local list = lists[parts[3]] and parts[3] or first_list
  if type(parts[1]) == 'string' then return parts[1], list end
  local rest = before_last_string(string.match(filed, '^(.*)%]%s*$') or '')
  rest = rest and before_last_string(rest)
  return rest and string.match(rest, '^%s*%[%s*(.+)$'), list
end

local function keep_filed(tag) redis.call('ZADD', index, string.format('%.6f', now), tag) end

local function put_back(tag, filed)
  local message, list
  if #filed <= whole + 1024 then message, list = contents(filed) end
  if not message then
    local told = bounded(filed, whole, head)
    if #told < #filed then redis.call('HSET', unacked, tag, cjson.encode({told, '', first_list})) end
    keep_filed(tag)
    unreadable[#unreadable + 1] = {tag, told}
  elseif tolerant('RPUSH', list, message) then
    redis.call('SADD', restored_tags, tag)
    remove(tag)
    restored = restored + 1
  else
    keep_filed(tag)
  end
end

local fileable = is_type(unacked, 'hash')
fileable = is_type(index, 'zset') and fileable
if not (is_type(restored_tags, 'set') and fileable) then return {0, {}, wrong, 0} end

local tags = chosen()
for _, tag in ipairs(tags) do
  if not age_seconds or bytes < most_bytes then
    local filed = redis.call('HGET', unacked, tag)
    seen, bytes = seen + 1, bytes + #(filed or '')
    if filed then put_back(tag, filed) else remove(tag) end
  end
end
return {restored, unreadable, wrong, (age_seconds and (#tags == most or seen < #tags)) and 1 or 0}
