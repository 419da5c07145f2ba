-- Prelude of every script: key names, the clock, the limiter, and the steps that several scripts share.

local prefix, DUE, EXPIRY, LEASES, OUTBOX, DELIVERIES, PENDING, STRANGERS

-- From here on the names below mean those of this shard; a script with several shards enters one after the other.
local function enter(shard)
  prefix = shard
  DUE, EXPIRY, LEASES = prefix .. 'due', prefix .. 'expiry', prefix .. 'leases'
  OUTBOX, DELIVERIES, PENDING = prefix .. 'outbox', prefix .. 'deliveries', prefix .. 'pending'
  STRANGERS = prefix .. 'strangers'
end
enter(KEYS[1])

local MAX_AHEAD = 1000000
local MAX_HISTORY = 4000
local EASES, EASE_LASTS = {0.02, 0.08}, 10000000
local VALID_SHARE, MAX_VALID = 0.65, 2000000

-- Slots, waits and leases are timed by a clock of the store's own, NOW. It goes on with Redis' clock while workers ask, and
-- by nothing where Redis' clock was set, or nobody could ask: no lease runs out in a time in which its holder could not
-- speak. Where its key is lost it begins again, as Redis' time. Moments that people are told are NOW + LAG, Redis' own time;
-- so is `expires`, which they may have named.
local CLOCK, MAX_PAUSE, SAVED_AFTER = 'callworker:clock', 1000000, 200000
local clock = redis.call('TIME')
local TIME, NOW, BEGAN = clock[1] * 1000000 + clock[2], nil, nil

do
  local saved = redis.pcall('GET', CLOCK)
  local last, now, began = string.match(type(saved) == 'string' and saved or '', '^(%d+) (%d+) (%d+)$')
  local passed = last and TIME - last or -1
  NOW = now and tonumber(now) or TIME
  if passed >= 0 and passed <= MAX_PAUSE then NOW = NOW + passed end
  BEGAN = tonumber(began or NOW)
  if passed < 0 or passed >= SAVED_AFTER then
    redis.call('SET', CLOCK, string.format('%.0f %.0f %.0f', TIME, NOW, BEGAN))
  else
    -- Changes nothing, but is refused by a server without memory, which would let some writes through, and after one of
    -- these all that follow, so that a call is dialled whose outcome it does not take; and by one that is no primary.
    redis.call('SETNX', CLOCK, '')
  end
end
local LAG = TIME - NOW

-- Lua would write a large number as 1.7e+15.
local function int(number) return string.format('%.0f', number) end

-- What a command replies that only reads, or is the first to write. It ends the script, or the step that runs `apart`, where the key is not of our
-- type: whatever a step writes to it asks for or checks before its first write, so that nothing is left half done.
local function ask(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err, 0) end
  error('WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok, 0)
end

-- Asks each key once in a script, with a command that its type alone takes; the reply for the last one.
local checked = {}
local function check(command, ...)
  local found
  for _, key in ipairs({...}) do
    found = checked[key] or ask(command, key)
    checked[key] = found
  end
  return found
end

-- Runs a step; false where a wrong key stopped it before it had changed anything. That key is told, and others go on.
local WRONG = {}
local function apart(step, ...)
  local done, reply = pcall(step, ...)
  if done then return true, reply end
  local wrong = string.match(type(reply) == 'table' and reply.err or reply, 'WRONGKEY %S+ %S+')
  if not wrong then error(reply, 0) end
  WRONG[#WRONG + 1] = wrong
  return false
end

-- What a wrong key stops is looked at again after a pause, so that it does not stand in the way of what is behind it.
local PUT_OFF = 1000000
local function put_off(key, member) redis.call('ZADD', key, int(NOW + PUT_OFF), member) end

local function job_key(id) return prefix .. 'job:' .. id end
local function payload_key(id) return prefix .. 'payload:' .. id end
local function stranger_key(id) return prefix .. 'stranger:' .. id end
local function lane_key(account) return prefix .. 'lane:' .. account end
local function limit_key(account) return prefix .. 'limit:' .. account end

-- A moment of the store's clock as people read it; 0 stays 0.
local function told(at) return int(at > 0 and at + LAG or 0) end

local function line(at, step) return int(at / 1000) .. ' ' .. step .. '\n' end

-- The job's history with one more step, from its fields `history`, `why` and `accepted`. Its first wait has no line until
-- then: most records are of jobs that wait for the first time, and why they do is on record anyway.
local function with_step(history, why, accepted, step)
  local before = history or why and line(accepted, 'waiting ' .. why) or ''
  return string.sub(before .. line(NOW + LAG, step), -MAX_HISTORY)
end

local function note(id, step)
  local f = redis.call('HMGET', job_key(id), 'history', 'why', 'accepted')
  redis.call('HSET', job_key(id), 'history', with_step(f[1], f[2], f[3], step))
end

-- As `Pace.eased` in worker/core/limits.py: wider slots for an account whose workers come too late for its own. After a while
-- without cause it ends; what may still be late by then is paid for, as docs/decisions/0005 has it.
local function ease(a)
  local margin = EASES[a.ease]
  local valid = math.min(a.valid + math.floor(a.period * margin * VALID_SHARE), MAX_VALID)
  if NOW - a.eased_at > EASE_LASTS then
    a.tat, a.ease = a.tat + valid, 0
    redis.call('HSET', limit_key(a.name), 'tat', int(a.tat), 'ease', 0)
  else
    a.interval, a.valid = math.ceil(a.interval * (1 + margin)), valid
  end
end

-- With `pace` as the caller's accounts file has it, that is the account's pace from now on, unless a newer file, of a higher
-- `generation`, has given it another. What `refresh` needs is checked.
local function load_account(name, pace, generation)
  check('ZCARD', lane_key(name), DUE)
  local f = ask('HMGET', limit_key(name), 'pace', 'tat', 'inflight', 'hold', 'probe_at', 'probes', 'served', 'ease', 'eased_at',
                'generation')
  local ahead = pace and tonumber(generation) - tonumber(f[10] or 0) or -1
  if ahead > 0 or ahead == 0 and f[1] ~= pace then
    redis.call('HSET', limit_key(name), 'pace', pace, 'generation', generation)
    f[1] = pace
  end
  local interval, tolerance, valid, catch_up, concurrency, period =
    string.match(f[1] or '0 0 0 0 1 0', '(%d+) (%d+) (%d+) (%d+) (%d+) ?(%d*)')
  local a = {
    name = name, interval = tonumber(interval), tolerance = tonumber(tolerance), valid = tonumber(valid),
    catch_up = tonumber(catch_up), concurrency = tonumber(concurrency), tat = tonumber(f[2] or 0),
    inflight = tonumber(f[3] or 0), hold = f[4] or nil, probe_at = tonumber(f[5] or 0), probes = tonumber(f[6] or 0),
    served = math.min(tonumber(f[7] or 0), NOW), ease = tonumber(f[8] or 0), eased_at = tonumber(f[9] or 0),
    period = tonumber(period) or 0,
  }
  if a.ease > 0 then ease(a) end
  -- As `possible` in worker/core/limits.py. Written down, or it would move along with the clock and never be reached.
  local latest = NOW + MAX_AHEAD + a.tolerance + a.interval
  if a.tat > latest then
    a.tat = latest
    redis.call('HSET', limit_key(name), 'tat', int(latest))
  end
  return a
end

-- As `grant` in worker/core/limits.py: slot and new TAT, or nil and the moment of the slot that is still too far ahead.
local function next_slot(a, ready, ahead)
  local slot = math.max(a.tat - a.tolerance, NOW - a.catch_up, math.min(a.tat, NOW), ready)
  if slot > NOW + ahead then return nil, slot end
  return slot, math.max(a.tat, slot) + a.interval
end

local function may_probe(a) return a.probe_at > 0 and a.inflight == 0 end

-- Puts the account where it belongs in the index of accounts that could go. One that was just served stands behind all
-- that could go before: else, where threads are short, a backlog with a large burst would have every one of them.
local function refresh(a)
  local head = redis.call('ZRANGE', lane_key(a.name), 0, 0, 'WITHSCORES')
  if not head[1] or a.inflight >= a.concurrency or (a.hold and not may_probe(a)) then
    redis.call('ZREM', DUE, a.name)
    return
  end
  local at = math.max(tonumber(head[2]), a.tat - a.tolerance, a.served)
  if a.hold then at = math.max(at, a.probe_at) end
  redis.call('ZADD', DUE, int(at), a.name)
end

local function set_inflight(a, count)
  a.inflight = math.max(count, 0)
  redis.call('HSET', limit_key(a.name), 'inflight', a.inflight)
end

local function fields_for_lease(id)
  local f = ask('HMGET', job_key(id), 'fence', 'accepted', 'expires', 'sent', 'not_rung', 'perhaps', 'why', 'since',
                'job', 'account', 'history', 'state')
  f[9] = f[9] or ask('GET', payload_key(id))
  return f
end

-- The reply for a lease, from the job's fields.
local function lease_of(f, id, due, slot, valid, probe)
  return {'lease', id, due, f[1], f[9], f[2], f[3], f[4] or '0', f[5] or '0',
          f[6] or '0', int(NOW), int(slot), int(valid), probe and 1 or 0, f[7] or '', f[8] or f[2], f[10], int(LAG)}
end

local function lease_reply(id, due, slot, valid, probe)
  return lease_of(fields_for_lease(id), id, due, slot, valid, probe)
end

-- Takes the slot, writes the intent and leases the job, whose fields are `f`, to the caller, who is known again by `call`.
local function begin(id, f, a, slot, tat, lease, call)
  a.tat, a.served, a.inflight = tat, NOW, a.inflight + 1
  redis.call('HSET', limit_key(a.name), 'tat', int(tat), 'served', int(NOW), 'inflight', a.inflight)
  redis.call('ZADD', LEASES, int(NOW + lease), id)
  f[1] = int((f[1] or 0) + 1)
  redis.call('HSET', job_key(id), 'fence', f[1], 'state', 'dialling', 'call', call,
             'history', with_step(f[11], f[7], f[2], 'dialling'))
  if f[7] then redis.call('HDEL', job_key(id), 'why', 'since', 'judged') end
  return lease_of(f, id, 'dial', slot, a.valid, a.hold)
end

-- The lease that `call` was given and never heard of, or nil. Its slot counts as gone by: the holder takes a new one.
local function unheard(id, call)
  local f = ask('HMGET', job_key(id), 'state', 'call')
  if f[1] == 'dialling' and f[2] == call then return lease_reply(id, 'dial', NOW - 1, 0, false) end
end

-- What is on record of a job that is known: state, and the job as packed, or once it has ended its digest; or nil.
local function as_seen(id)
  local f = ask('HMGET', job_key(id), 'state', 'job', 'digest')
  if f[1] then return {'seen', f[1], f[2] or not f[3] and ask('GET', payload_key(id)) or '', f[3] or ''} end
end

-- Puts a job into its lane, to go no sooner than `ready`; the account's index is left to `refresh`.
local function wait_in_lane(id, account, ready, expires, why, detail)
  redis.call('ZADD', lane_key(account), int(ready), id)
  redis.call('ZADD', EXPIRY, expires, id)
  note(id, 'waiting ' .. why .. (detail ~= '' and ' ' .. detail or ''))
  redis.call('HSET', job_key(id), 'state', 'waiting', 'why', why, 'since', int(NOW + LAG))
end

local function in_hand(state) return state == 'dialling' or state == 'settling' end

-- Whether `fence` may speak for a job that has not ended, the job's state, and whether it speaks against a judgement. The
-- newest lease may; and the one whose holder was judged lost, until another dial begins: it knows, the judge supposes.
local function holds(id, fence)
  local f = ask('HMGET', job_key(id), 'fence', 'state', 'judged')
  local judged = f[3] == fence and (f[2] == 'settling' or f[2] == 'waiting')
  return judged or f[1] == fence and in_hand(f[2]), f[2], judged
end

-- Takes a job that was judged lost, and perhaps waits again, out of its judge's hands.
local function take_back(id, account)
  redis.call('HDEL', job_key(id), 'judged')
  redis.call('ZREM', lane_key(account), id)
  redis.call('ZREM', EXPIRY, id)
end

-- Gives back lease and place in flight of a job in hand. True where the account had no other place.
local function release(id, a, state)
  local full = a.inflight >= a.concurrency
  redis.call('ZREM', LEASES, id)
  if state == 'dialling' then set_inflight(a, a.inflight - 1) end
  return full
end

local function set_tally(id, sent, not_rung, perhaps)
  redis.call('HSET', job_key(id), 'sent', sent, 'not_rung', not_rung, 'perhaps', perhaps)
end

local function check_way_out(endpoints)
  check('LLEN', OUTBOX)
  if endpoints ~= '' then
    check('ZCARD', DELIVERIES)
    check('HLEN', PENDING)
  end
end

-- Writes the event, what has to be delivered, and the outcome; `...` are further fields of the record. After `check_way_out`.
local function conclude(id, account, status, event, retention_ms, endpoints, ...)
  redis.call('RPUSH', OUTBOX, 'call.' .. status .. ' ' .. event)
  for endpoint in string.gmatch(endpoints, '%S+') do
    redis.call('ZADD', DELIVERIES, int(NOW), id .. '|' .. endpoint .. '|1')
    redis.call('HINCRBY', PENDING, account, 1)
  end
  local key = job_key(id)
  redis.call('HSET', key, 'state', status, 'event', event, 'finished', int(NOW + LAG), ...)
  redis.call('PEXPIRE', key, retention_ms)
end
