-- Ends jobs as their events told it before the state was set back: without a call, with the same events.
-- Guarantees: a job in hand, and one that has ended, stay as they are. Each end is one step, whatever stops the script, and all
-- may be given again. The event leaves again under the same id. A job that has not come yet is a repeat when it comes.
-- KEYS 1 shard prefix
-- ARGV 1 how long the end is remembered (ms)  2 how long a delivered event may be replayed (ms); then for each job
--      id  account  status  event  the event's id  endpoint keys, separated by spaces
-- Reply: for each job in order 'ended'; 'known': it had ended; 'in_hand'; or 'blocked' by a key of another type

local retention_ms, replay_ms, ARGV_OF_A_JOB = ARGV[1], ARGV[2], 6

local accounts = {}

local function account(name)
  accounts[name] = accounts[name] or load_account(name)
  return accounts[name]
end

local function has_ended(id, state)
  if state then return state ~= 'waiting' and state ~= CANCELED end
  local claim = ask('GET', end_key(id))
  return claim and string.find(claim, '^%S+ %l+ %d+ ')
end

local function end_one(id, name, status, event, event_id, endpoints)
  local row = fields_for_lease(id)
  local state = row[STATE]
  if in_hand(state) then return 'in_hand' end
  if has_ended(id, state) then return 'known' end
  account(name)
  check('ZCARD', EXPIRY)
  check_way_out(name, endpoints)
  local waits = state == 'waiting'
  local history = with_step(row[HISTORY], waits and row[WHY], row[ACCEPTED], status)
  -- What the job said is not known here, so there is no digest: whatever comes under its id counts as a repeat.
  conclude(id, name, status, event, event_id, '', retention_ms, replay_ms, endpoints, kept(history, row[PERHAPS]))
  if waits then
    redis.call('ZREM', lane_key(name), id)
    redis.call('ZREM', EXPIRY, id)
    leave_ages(id, name, row)
  end
  return 'ended'
end

local reply = {}
for at = 3, #ARGV, ARGV_OF_A_JOB do
  local done, word = apart(end_one, unpack(ARGV, at, at + ARGV_OF_A_JOB - 1))
  reply[#reply + 1] = done and word or 'blocked'
end
for _, a in pairs(accounts) do refresh(a) end
return reply, WRONG
