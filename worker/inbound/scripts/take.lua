-- Takes new entries of a stream's group for a consumer, or claims those that no consumer has kept for a while.
-- Guarantees: an entry is in the stream or pending for a consumer, at every instant; stream and group are made where they are
-- missing. What is too large is told as `bounded` has it. The reply is at most 8 entries larger than asked for.
-- KEYS 1 stream
-- ARGV 1 group  2 consumer  3 field that holds the job  4 most entries  5 most bytes in all  6 most bytes of one
--      7 what is kept of a larger one  8 idle time (ms) from which entries are claimed, '' for new ones  9 where to go on
--      claiming
-- Reply: {list of {id, 1 and the job, or 0 and all fields, with blanks between, unless there is one job}, keys of a wrong type, where to go on claiming,
--      1 if there may be more now, else 0}

-- So many at a time, twice as many each time: a large entry is alone, unless small ones came before it.
local chunk, MAX_CHUNK = 1, 8
local group, consumer, field, idle, cursor = ARGV[1], ARGV[2], ARGV[3], ARGV[8], ARGV[9]
local most, most_bytes, whole, head = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local reply, bytes, more = {}, 0, false

local function ask(call, count)
  if idle ~= '' then return call('XAUTOCLAIM', KEYS[1], group, consumer, idle, cursor, 'COUNT', count) end
  return call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', KEYS[1], '>')
end

local function says(reply, code) return type(reply) == 'table' and reply.err and string.find(reply.err, code, 1, true) end

-- Entries, and whether there may be more of them.
local function next_entries(count)
  local found = ask(redis.pcall, count)
  if says(found, 'WRONGTYPE') then
    wrong[1] = KEYS[1]
    return {}, false
  end
  if says(found, 'NOGROUP') then redis.call('XGROUP', 'CREATE', KEYS[1], group, '0', 'MKSTREAM') end
  if says(found, '') then found = ask(redis.call, count) end
  if idle == '' then return found and found[1][2] or {}, found and #found[1][2] == count end
  cursor = found[1]
  return found[2], cursor ~= '0-0'
end

-- Of two jobs in one entry neither is taken: the other would be lost without a word.
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
    -- Redis 6 gives an entry that was trimmed from the stream without its id, or without fields.
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
