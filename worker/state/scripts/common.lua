-- Prelude of the scripts, after `ground`: key names, the limiter, and the steps that several scripts share.

local MAX_AHEAD = 1000000
local MAX_HISTORY = 4000
local EASES, EASE_LASTS = {0.02, 0.08}, 10000000
local VALID_SHARE, MAX_VALID = 0.65, 2000000

-- Returns the reply of a command that only reads, or is the first write of a step. A key of another type ends the
-- script, or the step that `apart` runs. Every step asks for or checks each key that it writes to before its first write,
-- so that no step is left half done.
local function ask(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if not string.find(reply.err, 'WRONGTYPE', 1, true) then error(reply.err, 0) end
  error('WRONGKEY ' .. key .. ' ' .. redis.call('TYPE', key).ok, 0)
end

-- Asks each key once per script, with a command that only the right type accepts. Returns the reply for the last key.
local checked = {}
local function check(command, ...)
  local found
  for _, key in ipairs({...}) do
    found = checked[key] or ask(command, key)
    checked[key] = found
  end
  return found
end

-- Returns all fields of a hash by name. Of a small hash that takes less time than asking for ten of them.
local function fields_of(key)
  local found, fields = ask('HGETALL', key), {}
  for n = 1, #found, 2 do fields[found[n]] = found[n + 1] end
  return fields
end

-- Runs a step. Returns true and its reply; or false if a key of another type stopped it before it changed anything. Such
-- a key is reported beside the script's reply, and the other steps go on.
local WRONG = {}
local function apart(step, ...)
  local done, reply = pcall(step, ...)
  if done then return true, reply end
  local wrong = string.match(type(reply) == 'table' and reply.err or reply, 'WRONGKEY %S+ %S+')
  if not wrong then error(reply, 0) end
  WRONG[#WRONG + 1] = wrong
  return false
end

-- Postpones work that a key of another type stopped, so that it does not block the work behind it (µs).
local PUT_OFF = 1000000
local function put_off(key, member) redis.call('ZADD', key, int(NOW + PUT_OFF), member) end

local function job_key(id) return prefix .. 'job:' .. id end
local function payload_key(id) return prefix .. 'payload:' .. id end

-- Where the end of a job is remembered: in the claim of its id, or in a cluster, where that is on another server, in the shard.
local function end_key(id) return CLUSTER and prefix .. 'end:' .. id or 'callworker:id:' .. id end

local function stranger_key(id) return prefix .. 'stranger:' .. id end
local function lane_key(account) return prefix .. 'lane:' .. account end
local function limit_key(account) return prefix .. 'limit:' .. account end
local function aged_key(account) return prefix .. 'aged:' .. account end

-- Formats a moment of the store's clock as Redis' own time (µs), for people; 0 stays 0.
local function told(at) return int(at > 0 and at + LAG or 0) end

-- Formats one line of a history.
local function line(at, step) return int(math.floor(at / 1000)) .. ' ' .. step .. '\n' end

-- Returns the history with one more step. The first wait gets its line only now, from `why` and `accepted`: most records
-- belong to jobs that wait for the first time, and a shorter record takes less memory.
local function with_step(history, why, accepted, step)
  local before = history or why and line(accepted, 'waiting ' .. why) or ''
  return string.sub(before .. line(NOW + LAG, step), -MAX_HISTORY)
end

-- Returns when the job was accepted.
local function note(id, step)
  local history, why, lacks, accepted = unpack(redis.call('HMGET', job_key(id), 'history', 'why', 'lacks', 'accepted'))
  redis.call('HSET', job_key(id), 'history', with_step(history, why or lacks, accepted, step))
  return accepted
end

-- Widens the slots of an account whose workers repeatedly miss them, like `Pace.eased` in worker/core/limits.py. Ends the
-- easing after ten seconds without a cause; the schedule then skips the time by which a request may still be late, see
-- docs/decisions/0005.
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

-- Reads an account's limits. `pace`, from the caller's accounts file, becomes the account's pace unless a newer file, with
-- a higher `generation`, has given another. Also checks the keys that `refresh` writes to.
local function load_account(name, pace, generation)
  check('ZCARD', lane_key(name), DUE)
  local limit = fields_of(limit_key(name))
  local on_record = limit.pace
  local newer_by = pace and tonumber(generation) - tonumber(limit.generation or 0) or -1
  if newer_by > 0 or newer_by == 0 and on_record ~= pace then
    redis.call('HSET', limit_key(name), 'pace', pace, 'generation', generation)
    on_record = pace
  end
  local interval, tolerance, valid, catch_up, concurrency, period =
    string.match(on_record or '0 0 0 0 1 0', '(%d+) (%d+) (%d+) (%d+) (%d+) ?(%d*)')
  local a = {
    name = name, interval = tonumber(interval), tolerance = tonumber(tolerance), valid = tonumber(valid),
    catch_up = tonumber(catch_up), concurrency = tonumber(concurrency), tat = tonumber(limit.tat or 0),
    inflight = tonumber(limit.inflight or 0), hold = limit.hold, probe_at = tonumber(limit.probe_at or 0),
    probes = tonumber(limit.probes or 0), served = math.min(tonumber(limit.served or 0), NOW),
    ease = tonumber(limit.ease or 0), eased_at = tonumber(limit.eased_at or 0), period = tonumber(period) or 0,
    bound = limit.bound, freed = tonumber(limit.freed or 0),
  }
  if a.ease > 0 then ease(a) end
  -- Like `possible` in worker/core/limits.py. It is stored: otherwise it would move with the clock and never be reached.
  local latest = NOW + MAX_AHEAD + a.tolerance + a.interval
  if a.tat > latest then
    a.tat = latest
    redis.call('HSET', limit_key(name), 'tat', int(latest))
  end
  return a
end

-- Like `grant` in worker/core/limits.py. Returns the slot and the new TAT; or nil and the slot, if that is too far ahead.
local function next_slot(a, ready, ahead)
  local slot = math.max(a.tat - a.tolerance, NOW - a.catch_up, math.min(a.tat, NOW), ready)
  if slot > NOW + ahead then return nil, slot end
  return slot, math.max(a.tat, slot) + a.interval
end

local function may_probe(a) return a.probe_at > 0 and a.inflight == 0 end

-- Updates the account's place in the index of accounts that could go. An account that was just served comes after all that
-- could go before: otherwise, while threads are scarce, one backlog with a large burst would take every thread.
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
  if a.inflight >= a.concurrency and count < a.concurrency then a.freed = NOW end
  a.inflight = math.max(count, 0)
  redis.call('HSET', limit_key(a.name), 'inflight', a.inflight, 'freed', int(a.freed))
end

-- Notes what holds up a lane as its first job is leased, which could have gone since `open` but for a place: `bound`, for the
-- account's next write. It has the shares of the last seconds that the schedule lost while the account had all of its calls
-- in flight, and while no worker had a place. A lane that loses next to nothing is held up by its rate.
local LOSS_LASTS, LOSS_BEGINS, LOSS_ENDS = 3000000, 0.15, 0.05
local function note_bound(a, open)
  local before, full, starved = string.match(a.bound or '', '^(%S+) (%S+) (%S+)$')
  full, starved = tonumber(full or 0), tonumber(starved or 0)
  local passed = NOW - a.served
  if before and passed > 0 then
    local weight = 1 - math.exp(-passed / LOSS_LASTS)
    local lost = math.min(math.max(NOW - open - a.catch_up, 0), passed)
    local lost_full = math.min(math.max(a.freed - open, 0), lost)
    full, starved = full + weight * (lost_full / passed - full), starved + weight * ((lost - lost_full) / passed - starved)
  end
  local loses = full + starved > ((before or 'rate_limit') == 'rate_limit' and LOSS_BEGINS or LOSS_ENDS)
  -- Until a call that has ended makes way for the next one, its place is free; that is not for want of places.
  local word = loses and (full * 2 >= starved and 'concurrency' or 'no_places') or 'rate_limit'
  a.bound = string.format('%s %.3f %.3f', word, full, starved)
end

-- Adds a trace context to the fields of a job's record: until the job ends that of its producer, and then its own, to which
-- the spans of its event and of its deliveries belong.
local function with_trace(record, trace)
  if trace ~= '' then record[#record + 1], record[#record + 2] = 'trace', trace end
  return record
end

-- A job's row: its fields by name.
local FENCE, ACCEPTED, EXPIRES, SENT, NOT_RUNG, PERHAPS, WHY, SINCE, JOB, ACCOUNT, HISTORY, STATE, LACKS, TRACE =
  'fence', 'accepted', 'expires', 'sent', 'not_rung', 'perhaps', 'why', 'since', 'job', 'account', 'history', 'state',
  'lacks', 'trace'

local function fields_for_lease(id)
  local row = fields_of(job_key(id))
  row[JOB] = row[JOB] or ask('GET', payload_key(id))
  if row[JOB] and row[TRACE] then row[JOB] = row[JOB] .. '\n' .. row[TRACE] end
  row[WHY] = row[WHY] or row[LACKS]
  return row
end

-- Returns the lease reply for a job's row. README.md lists its positions.
local function lease_reply(row, id, due, slot, valid, probe)
  local accepted = row[ACCEPTED] or false
  return {'lease', id, due, row[FENCE] or false, row[JOB] or false, accepted, row[EXPIRES] or false, row[SENT] or '0',
          row[NOT_RUNG] or '0', row[PERHAPS] or '0', int(NOW), int(slot), int(valid), probe and 1 or 0, row[WHY] or '',
          row[SINCE] or accepted, row[ACCOUNT] or false, int(LAG)}
end

-- Takes the slot, writes the intent to dial and leases the job to the caller. `call` is the caller's name for this request:
-- after a lost reply, the caller gets its leases again under the same name. `...` are the fields of a record that begins.
local function begin(id, row, a, slot, tat, lease_us, call, ...)
  a.tat, a.served, a.inflight = tat, NOW, a.inflight + 1
  redis.call('HSET', limit_key(a.name), 'tat', int(tat), 'served', int(NOW), 'inflight', a.inflight,
             unpack(a.bound and {'bound', a.bound} or {}))
  redis.call('ZADD', LEASES, int(NOW + lease_us), id)
  row[FENCE] = int((row[FENCE] or 0) + 1)
  redis.call('HSET', job_key(id), 'fence', row[FENCE], 'state', 'dialling', 'call', call,
             'history', with_step(row[HISTORY], row[WHY], row[ACCEPTED], 'dialling'), ...)
  if row[WHY] then redis.call('HDEL', job_key(id), 'why', 'lacks', 'since', 'judged') end
  return lease_reply(row, id, 'dial', slot, a.valid, a.hold)
end

-- Returns the lease that `call` was given and never received, or nil. Its slot counts as past: the holder takes a new one.
local function unheard(id, call)
  local state, given_to = unpack(ask('HMGET', job_key(id), 'state', 'call'))
  if state == 'dialling' and given_to == call then
    return lease_reply(fields_for_lease(id), id, 'dial', NOW - 1, 0, false)
  end
end

-- The state of a record that only says that a cancel came before the job.
local CANCELED = 'canceled'

-- Returns {'seen', state, job, digest} for a job on record, else nil. `job` is the packed job until the job ends, then '';
-- `digest` is '' until then.
local function as_seen(id)
  local state, job, digest = unpack(ask('HMGET', job_key(id), 'state', 'job', 'digest'))
  job = job or state and not digest and ask('GET', payload_key(id)) or ''
  local ended = CLUSTER and job == '' and ask('GET', end_key(id))
  if ended then state, digest = string.match(ended, '^%S+ (%S+) %d+ (%S*)') end
  if state then return {'seen', state, job, digest or ''} end
end

-- Changes the index of ages. It only says how long jobs wait, so a key of another type is reported and stops nothing.
local function age(command, account, ...) return apart(ask, command, aged_key(account), ...) end

-- Takes a job that leaves its lane out of the index of ages, if it is there: it is not, in its first wait.
local function leave_ages(id, account, row)
  if row[SINCE] then age('ZREM', account, id) end
end

-- Puts a job into its lane again, to be leased no sooner than `ready`. Leaves the index of accounts to `refresh`.
local function wait_in_lane(id, account, ready, expires, why, detail)
  redis.call('ZADD', lane_key(account), int(ready), id)
  redis.call('ZADD', EXPIRY, expires, id)
  local accepted = note(id, 'waiting ' .. why .. (detail ~= '' and ' ' .. detail or ''))
  redis.call('HSET', job_key(id), 'state', 'waiting', 'why', why, 'since', int(NOW + LAG))
  if not age('ZADD', account, accepted, id) then return end
  -- An earlier version, which does not know this index, leaves jobs in it that wait no longer.
  local oldest = redis.call('ZRANGE', aged_key(account), 0, 0)[1]
  if oldest ~= id and not redis.call('ZSCORE', lane_key(account), oldest) then age('ZREM', account, oldest) end
end

local function in_hand(state) return state == 'dialling' or state == 'settling' end

-- Returns whether `fence` may decide about a job, the job's state, and whether its holder was judged lost. The newest
-- lease may decide. So may the lease whose holder was judged lost, until the job is dialled again: its holder knows what
-- happened, the judge only supposes it.
local function holds(id, fence)
  local newest, state, judged = unpack(ask('HMGET', job_key(id), 'fence', 'state', 'judged'))
  local was_judged = judged == fence and (state == 'settling' or state == 'waiting')
  return was_judged or newest == fence and in_hand(state), state, was_judged
end

-- Undoes the judgement that a job was lost, and takes the job out of the lane if it waits again.
local function take_back(id, account)
  redis.call('HDEL', job_key(id), 'judged')
  redis.call('ZREM', lane_key(account), id)
  age('ZREM', account, id)
  redis.call('ZREM', EXPIRY, id)
end

-- Gives back the lease and the place in flight of a job in hand. Returns true if the account had no other place free.
local function release(id, a, state)
  local full = a.inflight >= a.concurrency
  redis.call('ZREM', LEASES, id)
  if state == 'dialling' then set_inflight(a, a.inflight - 1) end
  return full
end

local function set_tally(id, sent, not_rung, perhaps)
  redis.call('HSET', job_key(id), 'sent', sent, 'not_rung', not_rung, 'perhaps', perhaps)
end
