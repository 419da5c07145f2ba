-- Has all workers take no jobs in and dial nothing, until the key is gone.
-- Guarantees: a drain that is on stays as it is.
-- KEYS 1 callworker:drain
-- ARGV 1 the drain, as a JSON object without its time
-- Reply: the drain that is on now

local key, drain = KEYS[1], ARGV[1]
local held = redis.pcall('GET', key)
if type(held) == 'table' then
  local wrong = string.find(held.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok or held.err, 0)
end
if held then return held end
local clock = redis.call('TIME')
local since_ms = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
drain = '{"since_ms": ' .. since_ms .. ', ' .. string.sub(drain, 2)
redis.call('SET', key, drain)
return drain
