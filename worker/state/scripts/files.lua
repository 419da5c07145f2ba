-- Says that a worker lives, and which accounts file it has. The file whose contents were seen last for the first time is the
-- newest, as long as a worker lives that has it: an old worker that starts again changes nothing, and an older file counts
-- again once the newer one's workers are gone.
-- KEYS 1 callworker:files
-- ARGV 1 digest of the file's contents  2 how long a worker counts as living after its word (ms)
--      3 how long a file is remembered that no worker has (ms)
-- Reply: {generation, 1 where no living worker has a newer file, 1 where no worker with this file was heard of for a while,
-- how many different files living workers have}

local mine, lives_ms, keep_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

local known = redis.pcall('HGETALL', KEYS[1])
if known.err then
  local wrong = string.find(known.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. KEYS[1] .. ' ' .. redis.call('TYPE', KEYS[1]).ok or known.err, 0)
end

local generation, lapsed, last, newest, files, gone = nil, 1, 0, 0, 1, {}
for n = 1, #known, 2 do
  local number, heard_ms = string.match(known[n + 1], '^(%d+) (%d+)$')
  number = tonumber(number or 0)
  -- In the future where the clock was set back since.
  local silent_ms = math.abs(now_ms - tonumber(heard_ms or 0))
  last = math.max(last, number)
  if known[n] == mine then
    generation, lapsed = number, silent_ms > lives_ms and 1 or 0
  elseif silent_ms <= lives_ms then
    newest, files = math.max(newest, number), files + 1
  elseif silent_ms > keep_ms then
    gone[#gone + 1] = known[n]
  end
end

generation = generation or last + 1
redis.call('HSET', KEYS[1], mine, string.format('%.0f %.0f', generation, now_ms))
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
return {generation, generation > newest and 1 or 0, lapsed, files}
