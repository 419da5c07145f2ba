-- Says that a worker lives, and which accounts file it has. The file whose contents were seen last for the first time is the
-- newest, as long as a worker lives that has it: an old worker that starts again changes nothing, and an older file counts
-- again once the newer one's workers are gone. By the store's own clock: nobody is gone because Redis was away.
-- KEYS 1 callworker:files
-- ARGV 1 digest of the file's contents  2 how long a worker counts as living after its word (ms)
--      3 how long a file is remembered that no worker has (ms)
-- Reply: {generation, 1 where no living worker has a newer file, 1 where no worker with this file was heard of for a while,
-- how many different files living workers have}

local mine, lives_ms, keep_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now_ms = math.floor(NOW / 1000)
local known = ask('HGETALL', KEYS[1])

local generation, lapsed, last, newest, files, gone = nil, 1, 0, 0, 1, {}
for n = 1, #known, 2 do
  local number, heard_ms = string.match(known[n + 1], '^(%d+) (%d+)$')
  number = tonumber(number or 0)
  -- In the future where the store's clock began again since.
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
redis.call('HSET', KEYS[1], mine, int(generation) .. ' ' .. int(now_ms))
if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
return {generation, generation > newest and 1 or 0, lapsed, files}
