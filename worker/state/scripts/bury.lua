-- Puts a dead letter on the list; then takes the oldest off until the list is within both its bounds. The time does not
-- depend on the length of the list, but once: a list that an earlier version wrote is counted when it has no count yet.
-- A full Redis refuses it, and a key of another type fails it, before anything has changed.
-- KEYS 1 callworker:dead  2 {callworker:dead}:bytes
-- ARGV 1 the letter, as JSON  2 the most letters  3 the most bytes of all letters together
-- Reply: how many letters were taken off

local list, count, most, most_bytes = KEYS[1], KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3])

-- The bytes of all letters, without those at the old end that are beyond the bound: they are not even read.
local function counted(letters)
  local bytes = 0
  for at = 0, letters - 1, 10 do
    for _, letter in ipairs(redis.call('LRANGE', list, at, at + 9)) do bytes = bytes + #letter end
    if bytes > most_bytes then
      redis.call('LTRIM', list, 0, at + 9)
      return bytes
    end
  end
  return bytes
end

local letters = redis.call('LPUSH', list, ARGV[1])
local before = redis.pcall('GET', count)
local bytes = letters > 1 and type(before) == 'string' and tonumber(before)
bytes = bytes and bytes + #ARGV[1] or counted(letters)
letters = redis.call('LLEN', list)

local off = 0
while letters > most or (bytes > most_bytes and letters > 1) do
  local oldest = redis.call('RPOP', list)
  letters, bytes, off = letters - 1, bytes - #oldest, off + 1
end
redis.call('SET', count, string.format('%.0f', math.max(bytes, 0)))
return off
