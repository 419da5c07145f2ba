-- Enables an endpoint and forgets its failures; what waits for it is due now, in the order in which it was due.
-- Guarantees: the endpoint is enabled by the first step; each step brings a bounded number of deliveries forward. Deliveries in
-- flight stay as they are.
-- KEYS 1 shard prefix
-- ARGV 1 destination  2 most deliveries that this step brings forward  3 how many the steps before it brought forward
-- Reply: {how many it brought forward, why the endpoint was disabled or ''}

-- The first of them are set to this long ago (µs), so that the others keep their order behind them.
local ROOM = 1000000

local dest, most, before = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local e = load_endpoint(dest)
local was, lane = e.disabled, hook_lane_key(dest)
e.disabled, e.disabled_at, e.absent_at, e.recent = '', 0, 0, ''
forget_failures(e)
save(e, 'disabled', 'disabled_at', 'absent_at', 'fails', 'recent', 'opened', 'open_until', 'slows', 'slow_until', 'bad_from',
     'bad_last')
local later = redis.call('ZRANGEBYSCORE', lane, '(' .. int(NOW), '+inf', 'LIMIT', 0, most)
for n, member in ipairs(later) do redis.call('ZADD', lane, int(NOW - math.max(ROOM - before - n, 0)), member) end
refresh_endpoint(e)
return {#later, was}
