-- Gives the state its random id, once.
-- Guarantees: every worker gets the same id for as long as the key exists.
-- KEYS 1 callworker:installation
-- ARGV 1 the id, if there is none yet
-- Reply: the id

local key, new = KEYS[1], ARGV[1]
redis.call('SETNX', key, new)
local id = redis.pcall('GET', key)
if type(id) == 'table' then
  local wrong = string.find(id.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok or id.err, 0)
end
return id
