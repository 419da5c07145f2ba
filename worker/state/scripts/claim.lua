-- Gives an id to the first account that uses it.
-- Guarantees: an id has one owner until the claim ends, so one id is one call, whichever account it is used with.
-- KEYS 1 callworker:id:ID
-- ARGV 1 account  2 end of the claim (Unix ms)
-- Reply: the account that owns the id

local key = KEYS[1]
local account, ends_ms = ARGV[1], ARGV[2]
local owner = redis.pcall('GET', key)
if type(owner) == 'table' then
  local wrong = string.find(owner.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok or owner.err, 0)
end
if owner then return owner end
redis.call('SET', key, account, 'PXAT', ends_ms)
return account
