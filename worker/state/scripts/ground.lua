-- First prelude of the scripts: the names of a shard's keys, the clock, and turns.

local prefix, DUE, EXPIRY, LEASES, OUTBOX, PENDING, STRANGERS

-- Whether this is one of the servers of a cluster. `lua.py` sets it.
local CLUSTER = false

-- Slots, waits and leases are timed by NOW, the store's own clock (µs). It advances with Redis' clock while workers ask. It
-- stands still while Redis' clock is set or nobody can ask, so no lease runs out while its holder cannot speak. If its
-- key is lost, it starts again at Redis' time. Moments shown to people are NOW + LAG, which is Redis' own time; so is
-- `expires`, which a producer may have named. In a cluster each shard has a clock, which moves with it to another server.
local MAX_PAUSE, SAVED_AFTER = 1000000, 200000
local TIME, NOW, BEGAN, LAG

local function read_clock(key, max_pause)
  local clock = redis.call('TIME')
  TIME = clock[1] * 1000000 + clock[2]
  local saved = redis.pcall('GET', key)
  local last, now, began = string.match(type(saved) == 'string' and saved or '', '^(%d+) (%d+) (%d+)$')
  local passed = last and TIME - last or -1
  NOW = now and tonumber(now) or TIME
  if passed >= 0 and passed <= max_pause then NOW = NOW + passed end
  BEGAN = tonumber(began or NOW)
  if passed < 0 or passed >= SAVED_AFTER then
    redis.call('SET', key, string.format('%.0f %.0f %.0f', TIME, NOW, BEGAN))
  elseif not TURNS then
    -- This write changes nothing, and stands for a turn that may follow. A server without memory refuses it, and so does
    -- one that is no primary. Without it, a server without memory would accept some writes and then all that follow them: a
    -- call would be dialled whose outcome the server does not take.
    redis.call('SETNX', key, '')
  end
  LAG = TIME - NOW
end

-- Sets the names above to the keys of one shard. A script that works on several shards enters one after the other.
local function enter(shard)
  prefix = shard
  DUE, EXPIRY, LEASES = prefix .. 'due', prefix .. 'expiry', prefix .. 'leases'
  OUTBOX, PENDING, STRANGERS = prefix .. 'outbox', prefix .. 'pending', prefix .. 'strangers'
  if CLUSTER then read_clock(shard .. 'clock', MAX_PAUSE) end
end

-- Takes the next turn of the shard, once per script: comes before the first write to the shard. Workers remember the number, and
-- so notice a state that went back in time, see docs/decisions/0030. While the shard is held, its key holds no number, and this
-- stops the script. TURNS has prefix and number of each shard in turn; it is the third part of the reply.
local function take_turn()
  TURNS = TURNS or {}
  for n = 1, #TURNS, 2 do
    if TURNS[n] == prefix then return end
  end
  local key = prefix .. 'turn'
  local number = redis.pcall('INCR', key)
  if type(number) == 'table' then
    if string.find(number.err, 'not an integer', 1, true) then error('SETBACK ' .. key, 0) end
    local wrong = string.find(number.err, 'WRONGTYPE', 1, true)
    error(wrong and 'WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok or number.err, 0)
  end
  TURNS[#TURNS + 1], TURNS[#TURNS + 2] = prefix, number
end

if CLUSTER and string.sub(KEYS[1], -1) ~= ':' then
  -- The lists of workers and of their files: a worker writes there every 1 or 2 s, and counts as lost after 15 s.
  read_clock('{' .. KEYS[1] .. '}:clock', 10 * MAX_PAUSE)
else
  enter(KEYS[1])
  if TURNS then take_turn() end
  if not CLUSTER then read_clock('callworker:clock', MAX_PAUSE) end
end

-- Writes a whole number; Lua would write a large one as 1.7e+15. '%d' takes half as long as '%.0f', but where a long has 32 bits
-- it has no room for a moment.
local format = string.format
local WHOLE = format('%d', 4294967296) == '4294967296' and '%d' or '%.0f'
local function int(number) return format(WHOLE, number) end

