-- Counts what accounts have: waiting jobs, calls in flight, a hold, webhook deliveries.
-- Guarantees: nothing is written. A key of another type counts as empty.
-- KEYS 1 shard prefix
-- ARGV names of accounts
-- Reply: {the store's clock (µs), Redis' own (µs), rows}, with a row for each account that has anything: {name, jobs waiting,
--      those of them that are not ready, when the first of the lane may go (µs), when the oldest was accepted (µs, Redis' own
--      time), deliveries pending, inflight, hold, pace, tat, served, bound}. What does not exist is nil.

local prefix = KEYS[1]
local MAX_GONE, AT_ONCE = 10, 20

local function read(...)
  local reply = redis.pcall(...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err, 0) end
  return nil
end

-- `lua.py` sets it, as in `ground.lua`.
local CLUSTER = false

-- The store's clock, like in `ground.lua`, which also writes it down.
local clock = redis.call('TIME')
local TIME = clock[1] * 1000000 + clock[2]
local last, saved = string.match(read('GET', CLUSTER and prefix .. 'clock' or 'callworker:clock') or '', '^(%d+) (%d+) %d+$')
local passed = TIME - (last or TIME)
local NOW = saved and saved + (passed >= 0 and passed <= 1000000 and passed or 0) or TIME

local function int(number) return string.format('%.0f', number) end

-- Returns when the oldest of the jobs that waited before was accepted. A version without this index may have left jobs in it
-- that wait no longer.
local function oldest_aged(name, lane)
  local found = read('ZRANGE', prefix .. 'aged:' .. name, 0, MAX_GONE - 1, 'WITHSCORES') or {}
  for n = 1, #found, 2 do
    if read('ZSCORE', lane, found[n]) then return tonumber(found[n + 1]) end
  end
end

-- Returns when the oldest job of a lane was accepted. Jobs that wait for the first time are in the order of their acceptance.
local function oldest(name, lane, head)
  local accepted, aged = tonumber(read('HGET', prefix .. 'job:' .. head, 'accepted') or nil), oldest_aged(name, lane)
  local first = math.min(accepted or math.huge, aged or math.huge)
  return first < math.huge and int(first)
end

local function row(name, waiting, pending)
  local limit = read('HMGET', prefix .. 'limit:' .. name, 'inflight', 'hold', 'pace', 'tat', 'served', 'bound')
  local found = {name, waiting, 0, false, false, pending or '0', unpack(limit or {}, 1, 6)}
  if waiting > 0 then
    local lane = prefix .. 'lane:' .. name
    local head = read('ZRANGE', lane, 0, 0, 'WITHSCORES')
    found[3] = read('ZCOUNT', lane, '(' .. int(NOW), '+inf')
    found[4], found[5] = int(tonumber(head[2])), oldest(name, lane, head[1])
  end
  return found
end

-- Returns whether any of the accounts at these places has a lane. Most have none, and one command asks for many.
local function any_lane(from, to)
  local lanes = {}
  for n = from, to do lanes[#lanes + 1] = prefix .. 'lane:' .. ARGV[n] end
  return redis.call('EXISTS', unpack(lanes)) > 0
end

local rows = {}
local pending = read('HMGET', prefix .. 'pending', unpack(ARGV)) or {}
for from = 1, #ARGV, AT_ONCE do
  local to = math.min(from + AT_ONCE - 1, #ARGV)
  local lanes = any_lane(from, to)
  for n = from, to do
    local name = ARGV[n]
    local waiting = lanes and read('ZCARD', prefix .. 'lane:' .. name) or 0
    local limit = read('HMGET', prefix .. 'limit:' .. name, 'inflight', 'hold')
    if waiting > 0 or limit and (limit[2] or tonumber(limit[1] or 0) > 0) or tonumber(pending[n] or 0) > 0 then
      rows[#rows + 1] = row(name, waiting, pending[n])
    end
  end
end
return {int(NOW), int(TIME), rows}
