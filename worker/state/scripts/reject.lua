-- Records a job that comes and ends at once, unless its id was seen before: it is invalid, not allowed, or was canceled.
-- Guarantees: record, event and deliveries are written in one step, once per id. A job on record stays unchanged.
-- KEYS 1 shard prefix
-- ARGV 1 id  2 account as named by the job  3 event  4 the event's id  5 digest  6 how long the end is remembered (ms)
--      7 how long a delivered event may be replayed (ms)  8 endpoint keys, separated by spaces
--      9 the job's trace context, or ''  10 status  11 'canceled' if it was canceled, else ''
-- Reply: {1}, or {'seen', state, job, digest} if the id was seen before and nothing was changed

local id, account, event, event_id, digest, retention_ms, replay_ms, endpoints, trace, status, how = unpack(ARGV)
if how == '' then how = nil end

local seen = as_seen(id)
if seen and seen[2] ~= CANCELED then return seen end
check_way_out(account, endpoints)
conclude(id, account, status, event, event_id, digest, retention_ms, replay_ms, endpoints,
         with_trace({'history', with_step(nil, nil, nil, how or status)}, trace), how)
return {1}
