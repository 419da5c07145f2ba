-- Puts a job on record unless its id was seen before, and takes a slot of its account's limit (GCRA).
-- KEYS 1 the job's hash  2 the account's theoretical arrival time
-- ARGV 1 interval (µs)  2 tolerance (µs)  3 account
-- Reply: -1 seen before | 0 go | µs to wait, nothing recorded

if redis.call('EXISTS', KEYS[1]) == 1 then return -1 end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = math.max(tonumber(redis.call('GET', KEYS[2]) or 0), now)
local wait = tat - tonumber(ARGV[2]) - now
if wait > 0 then return wait end
redis.call('SET', KEYS[2], string.format('%.0f', tat + tonumber(ARGV[1])))
redis.call('HSET', KEYS[1], 'state', 'dialling', 'account', ARGV[3], 'accepted', string.format('%.0f', now))
return 0
