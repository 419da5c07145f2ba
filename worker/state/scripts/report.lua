-- Reports that a worker is alive, and elects the one worker that serves what the metrics tell of all workers.
-- Guarantees: at most one worker is elected. The election lasts as long as its holder reports, and ends soon after. The entry of
-- a worker that stopped without a word stays, until the worker is heard again, another one has taken its place, or it is forgotten.
-- Silence is measured by the store's own clock, so no worker counts as lost because Redis was away.
-- KEYS 1 callworker:workers  2 callworker:metrics
-- ARGV 1 id of the worker  2 its report, the text of a JSON object  3 how long the election lasts from now (ms)
--      4 the worker takes the place of one that has been silent for longer than this (ms); 0: of none
--      5 how long a silent worker is remembered (ms)
-- Reply: {1 if this worker is elected, 1 if it took the place of a lost one}; a key of another type counts as 0

local workers_key, elected_key = KEYS[1], KEYS[2]
local id, report, lasts_ms, replaces_ms, keep_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local now_ms = math.floor(NOW / 1000)

local function elect()
  local holder = ask('GET', elected_key)
  if holder and holder ~= id then return 0 end
  redis.call('SET', elected_key, id, 'PX', lasts_ms)
  return 1
end

-- Returns how long ago an entry was written (ms). That may be in the future, if the store's clock has started again since.
local function silent_ms(entry)
  return math.abs(now_ms - tonumber(string.match(entry, '^{"heard_ms":(%d+)[,}]') or 0))
end

-- Removes the entries that are too old, and that of the one whose place this worker takes. Returns 1 if there was one.
local function tidy()
  local known, gone, longest_ms, replaced = ask('HGETALL', workers_key), {}, replaces_ms, nil
  for n = 1, #known, 2 do
    local silent = silent_ms(known[n + 1])
    if silent > keep_ms then
      gone[#gone + 1] = known[n]
    elseif replaces_ms > 0 and silent > longest_ms then
      longest_ms, replaced = silent, known[n]
    end
  end
  gone[#gone + 1] = replaced
  if #gone > 0 then redis.call('HDEL', workers_key, unpack(gone)) end
  return replaced and 1 or 0
end

local _, elected = apart(elect)
local _, replaced = apart(function()
  ask('HSET', workers_key, id, '{"heard_ms":' .. int(now_ms) .. ',' .. string.sub(report, 2))
  return (elected == 1 or replaces_ms > 0) and tidy() or 0
end)
return {elected or 0, replaced or 0}, WRONG
