-- Ends jobs that wait and were canceled: writes outcome, event and deliveries of each in one step.
-- Guarantees: a job that was leased is not changed, so it never ends as canceled and is dialled too. A job ends only if it
-- waits with the tally that its event tells. Whatever stops the script, the jobs before are ended whole, and all may be given
-- again. If no job is on record, the one that comes finds a note, even if its id was claimed before the cancel came.
-- KEYS 1 shard prefix
-- ARGV 1 how long the end is remembered (ms)  2 how long a delivered event may be replayed (ms)  3 how long the note is kept
--      (ms); then for each job
--      id  account  how it waits, as in the reply: 'FENCE SENT NOT_RUNG PERHAPS', or '' to ask  status  event  the event's id
--      digest (see worker/core/repeats.py)  endpoint keys, separated by spaces  the job's trace context, or ''
-- Reply: for each job in order {'ended'} | {'canceled'}: it was before | {'noted'} | {'stays', state, fence} |
-- {'waiting', how, packed job, accepted (µs), now (µs), both Redis' own time} | {'blocked', key of another type}

local retention_ms, replay_ms, note_ms, ARGV_OF_A_JOB = ARGV[1], ARGV[2], ARGV[3], 9

local accounts = {}

local function account(name)
  accounts[name] = accounts[name] or load_account(name)
  return accounts[name]
end

local function note_early(id)
  redis.call('HSET', job_key(id), 'state', CANCELED)
  redis.call('PEXPIRE', job_key(id), note_ms)
  return {'noted'}
end

local function as_it_stays(id, state, fence)
  if in_hand(state) then return {'stays', state, fence or '0'} end
  local claim = ask('GET', end_key(id))
  local canceled = claim and string.sub(claim, -#CANCELED - 1) == ' ' .. CANCELED
  return canceled and {'canceled'} or {'stays', state, '0'}
end

local function withdraw(id, name, expected, status, event, event_id, digest, endpoints, trace)
  local row = fields_for_lease(id)
  local state = row[STATE]
  if not state and CLUSTER then
    local seen = as_seen(id)
    if seen then return as_it_stays(id, seen[2]) end
  end
  if not state or state == CANCELED then return note_early(id) end
  if state ~= 'waiting' then return as_it_stays(id, state, row[FENCE]) end
  local how = table.concat({row[FENCE] or '0', row[SENT] or '0', row[NOT_RUNG] or '0', row[PERHAPS] or '0'}, ' ')
  if how ~= expected then return {'waiting', how, row[JOB], row[ACCEPTED], int(NOW + LAG)} end
  account(name)
  check('ZCARD', EXPIRY)
  check_way_out(name, endpoints)
  local conflicts, conflict_at = unpack(redis.call('HMGET', job_key(id), 'conflicts', 'conflict_at'))
  local record = kept(with_step(row[HISTORY], row[WHY], row[ACCEPTED], CANCELED), row[PERHAPS], conflicts, conflict_at)
  conclude(id, name, status, event, event_id, digest, retention_ms, replay_ms, endpoints, with_trace(record, trace), CANCELED)
  redis.call('ZREM', lane_key(name), id)
  redis.call('ZREM', EXPIRY, id)
  leave_ages(id, name, row)
  return {'ended'}
end

local reply = {}
for at = 4, #ARGV, ARGV_OF_A_JOB do
  local done, word = apart(withdraw, unpack(ARGV, at, at + ARGV_OF_A_JOB - 1))
  reply[#reply + 1] = done and word or {'blocked', WRONG[#WRONG]}
end
for _, a in pairs(accounts) do refresh(a) end
return reply, WRONG
