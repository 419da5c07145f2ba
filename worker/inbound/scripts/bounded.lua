-- Prelude of the scripts that hand out messages or put them back.
-- Guarantees: a message that is too large leaves Redis by its size and beginning alone; a key that holds something else than
-- it should is named, and keeps nothing else from going on.

local MARK = 'callworker:cut:'

-- `text`, or where it is longer than `most` bytes the mark, its size, a colon and its first `head` bytes.
local function bounded(text, most, head)
  if #text <= most then return text end
  return MARK .. #text .. ':' .. string.sub(text, 1, head)
end

local wrong = {}

-- What a command replies; nil where the key is of another type, which is noted. Any other error ends the script, in the words
-- that the server has for it when the command is not tried.
local function tolerant(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(command, key, ...) end
  wrong[#wrong + 1] = key
  return nil
end

-- Whether a key is of this type, or not there.
local function is_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found == wanted or found == 'none' then return true, found ~= 'none' end
  wrong[#wrong + 1] = key
  return false
end
