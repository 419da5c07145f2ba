-- Gives an id to the account that uses it first, so that one id is one call whatever account is named with it.
-- KEYS 1 callworker:id:ID
-- ARGV 1 account  2 Unix ms at which the claim ends
-- Reply: the account that owns the id

local owner = redis.pcall('GET', KEYS[1])
if type(owner) == 'table' then
  local wrong = string.find(owner.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. KEYS[1] .. ' ' .. redis.call('TYPE', KEYS[1]).ok or owner.err, 0)
end
if owner then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
return ARGV[1]
