-- Reports that a worker is alive and which accounts file it has; tells how that file compares with those of other workers.
-- Guarantees: the file whose content was first seen last is the newest, as long as a worker with it is alive. An old worker
-- that restarts changes nothing; an older file counts again once the newer one's workers are gone. A worker that exchanges the
-- newest file for another one while it runs makes that one the newest, even if it was seen before. The times are those of
-- the store's own clock, so no worker counts as gone because Redis was away.
-- KEYS 1 callworker:files
-- ARGV 1 digest of the file's content  2 how long after its last report a worker counts as alive (ms)
--      3 how long a file is remembered that no worker has (ms)
--      4 digest of the file that this worker reported before, if that was another one; else empty
-- Reply: {generation, 1 if no living worker has a newer file, 1 if no worker reported this file for a while, number of
-- different files of living workers}

local files_key = KEYS[1]
local mine, lives_ms, keep_ms, left = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local now_ms = math.floor(NOW / 1000)
local known = ask('HGETALL', files_key)

local generation, lapsed, last, newest, files, gone, left_number = nil, 1, 0, 0, 1, {}, 0
for n = 1, #known, 2 do
  local number, heard_ms = string.match(known[n + 1], '^(%d+) (%d+)$')
  number = tonumber(number or 0)
  -- The report may be in the future if the store's clock has started again since.
  local silent_ms = math.abs(now_ms - tonumber(heard_ms or 0))
  last = math.max(last, number)
  if known[n] == mine then
    generation, lapsed = number, silent_ms > lives_ms and 1 or 0
  elseif known[n] == left then
    left_number = number
  elseif silent_ms <= lives_ms then
    newest, files = math.max(newest, number), files + 1
  elseif silent_ms > keep_ms then
    gone[#gone + 1] = known[n]
  end
end

if not generation or left_number > math.max(generation, newest) then generation = last + 1 end
redis.call('HSET', files_key, mine, int(generation) .. ' ' .. int(now_ms))
if left_number > 0 then
  -- Counts as gone until another worker reports that it still has it.
  redis.call('HSET', files_key, left, int(left_number) .. ' ' .. int(math.max(now_ms - lives_ms - 1, 0)))
end
if #gone > 0 then redis.call('HDEL', files_key, unpack(gone)) end
return {generation, generation > newest and 1 or 0, lapsed, files}
