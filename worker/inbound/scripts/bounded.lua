-- Prelude of the scripts that hand out messages or put them back.

local MARK = 'callworker:cut:'

-- Returns `text`; or, if it has more than `most` bytes, the mark, its size, a colon and its first `head` bytes.
local function bounded(text, most, head)
  if #text <= most then return text end
  return MARK .. #text .. ':' .. string.sub(text, 1, head)
end

local wrong = {}

-- Returns a command's reply; or nil if the key has another type, which goes into `wrong`. Any other error ends the script. The
-- command is then repeated without `pcall`, because only so Redis adds its own words to the error.
local function tolerant(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  wrong[#wrong + 1] = key
  return nil
end

-- Returns whether a key has this type or does not exist, and whether it exists. Puts a key of another type into `wrong`.
local function is_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found == wanted or found == 'none' then return true, found ~= 'none' end
  wrong[#wrong + 1] = key
  return false
end
