-- Puts a dead letter on the list, then removes the oldest letters until the list is within both its bounds.
-- Guarantees: the list never ends above a bound, except that one letter may be larger than all bytes together. A full Redis,
-- or a key of another type, refuses the letter before anything has changed. The time does not depend on the length of the
-- list, except once: a list without a count, from an earlier version, is counted.
-- KEYS 1 callworker:dead  2 {callworker:dead}:bytes
-- ARGV 1 the letter, as JSON  2 most letters  3 most bytes of all letters together
-- Reply: how many letters were removed

local list, count = KEYS[1], KEYS[2]
local letter, most, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- Counts the bytes of all letters. Removes the oldest ones beyond the bound without reading them.
local function counted(letters)
  local bytes = 0
  for at = 0, letters - 1, 10 do
    for _, one in ipairs(redis.call('LRANGE', list, at, at + 9)) do bytes = bytes + #one end
    if bytes > most_bytes then
      redis.call('LTRIM', list, 0, at + 9)
      return bytes
    end
  end
  return bytes
end

local letters = redis.call('LPUSH', list, letter)
local before = redis.pcall('GET', count)
local bytes = letters > 1 and type(before) == 'string' and tonumber(before)
bytes = bytes and bytes + #letter or counted(letters)
letters = redis.call('LLEN', list)

local off = 0
while letters > most or (bytes > most_bytes and letters > 1) do
  local oldest = redis.call('RPOP', list)
  letters, bytes, off = letters - 1, bytes - #oldest, off + 1
end
redis.call('SET', count, string.format('%.0f', math.max(bytes, 0)))
return off
