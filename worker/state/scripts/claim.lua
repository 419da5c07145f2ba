-- Gives an id to the first account that uses it, or notes that the id's job is canceled before it came.
-- Guarantees: an id has one owner until the claim ends, so one id is one call, whichever account it is used with. A cancel
-- changes no owner.
-- KEYS 1 callworker:id:ID
-- ARGV 1 account; for a cancel '!' and the account that it names, if it names one  2 end of the claim or of the note (Unix ms)
-- Reply: what the claim holds now. README.md has its forms

local key = KEYS[1]
local claim, ends_ms = ARGV[1], ARGV[2]
local held = redis.pcall('GET', key)
if type(held) == 'table' then
  local wrong = string.find(held.err, 'WRONGTYPE', 1, true)
  error(wrong and 'WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok or held.err, 0)
end
local noted = held and string.match(held, '^!(.*)$')
if held and not noted then return held end
local canceled = string.match(claim, '^!(.*)$')
if canceled and noted and noted ~= canceled then
  -- Cancels that name different accounts are all heeded.
  claim = '!'
elseif not canceled and noted and (noted == '' or noted == claim) then
  claim = claim .. ' !'
end
redis.call('SET', key, claim, 'PXAT', ends_ms)
return claim
