-- Takes new entries of a stream's group for a consumer, or claims entries that no consumer has kept for a while.
-- Guarantees: at every instant an entry is in the stream or pending for a consumer. A stream or group that does not exist is
-- created. An entry that is too large is returned cut, see `bounded`. The reply is at most 8 entries larger than asked for.
-- KEYS 1 stream
-- ARGV 1 group  2 consumer  3 field that holds the job  4 most entries  5 most bytes in all  6 most bytes of one entry
--      7 bytes kept of a larger one  8 idle time (ms) from which entries are claimed, '' for new entries
--      9 cursor at which claiming goes on
-- Reply: {list of {id, 1 and the job, or 0 and all fields with blanks between if there is not exactly one job}, keys of
--      another type, cursor at which claiming goes on, 1 if there may be more now, else 0}

local stream = KEYS[1]
local group, consumer, field, idle_ms, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[8], ARGV[9]
local most, most_bytes, whole, head = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

-- How many entries are taken at a time; doubled each time, so that a large entry is alone unless small ones came before it.
local chunk, MAX_CHUNK = 1, 8
local reply, bytes, more = {}, 0, false

local function ask(call, count)
  if idle_ms ~= '' then return call('XAUTOCLAIM', stream, group, consumer, idle_ms, cursor, 'COUNT', count) end
  return call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
end

local function says(reply, code) return type(reply) == 'table' and reply.err and string.find(reply.err, code, 1, true) end

-- Returns entries, and whether there may be more of them.
local function next_entries(count)
  local found = ask(redis.pcall, count)
  if says(found, 'WRONGTYPE') then
    wrong[1] = stream
    return {}, false
  end
  if says(found, 'NOGROUP') then redis.call('XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM') end
  if says(found, '') then found = ask(redis.call, count) end
  if idle_ms == '' then return found and found[1][2] or {}, found and #found[1][2] == count end
  cursor = found[1]
  return found[2], cursor ~= '0-0'
end

-- Returns 1 and the job; or 0 and all fields. Of two jobs in one entry neither is taken: the other would be lost unnoticed.
local function content(fields)
  local jobs, text = 0, nil
  for n = 1, #fields - 1, 2 do
    if fields[n] == field then jobs, text = jobs + 1, fields[n + 1] end
  end
  if jobs == 1 then return 1, text end
  return 0, table.concat(fields, ' ')
end

local function is_full() return #reply >= most or bytes >= most_bytes end

repeat
  local entries
  entries, more = next_entries(math.min(most - #reply, chunk))
  for _, entry in ipairs(entries) do
    -- Redis 6 returns an entry that was trimmed from the stream without its id or without fields.
    if entry and entry[1] and entry[2] then
      local is_job, text = content(entry[2])
      local told = bounded(text, whole, head)
      bytes = bytes + #told + (#text > whole and most_bytes or 0)
      reply[#reply + 1] = {entry[1], is_job, told}
    end
  end
  chunk = math.min(chunk * 2, MAX_CHUNK)
until is_full() or not more
return {reply, wrong, cursor, more and 1 or 0}
