-- Records a job that is invalid or not allowed as ended, unless its id was seen before.
-- Guarantees: record, event and deliveries are written in one step, once per id. A job on record stays unchanged.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account as named by the job  3 event  4 the event's id  5 digest  6 how long the end is remembered (ms)
--      7 how long a delivered event may be replayed (ms)  8 endpoint keys, separated by spaces
--      9 the job's trace context, or ''
-- Reply: {1}, or {'seen', state, job, digest} if the id was seen before and nothing was changed

local id, account, event, event_id, digest, retention_ms, replay_ms, endpoints, trace = unpack(ARGV)

local seen = as_seen(id)
if seen then return seen end
check_way_out(account, endpoints)
conclude(id, account, 'rejected', event, event_id, digest, retention_ms, replay_ms, endpoints,
         with_trace({'history', with_step(nil, nil, nil, 'rejected')}, trace))
return {1}
