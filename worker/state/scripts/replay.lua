-- Puts deliveries that are over back into the lane of their endpoint, for a further round of attempts.
-- Guarantees: none is put there that waits or is in flight already. The event keeps its number at the endpoint. Its record does
-- not expire before the delivery is over again.
-- KEYS 1 shard prefix
-- ARGV 1 destination; then for each delivery its job's id and when it is due (µs from now)
-- Reply: for each 1, or 0 if it waits already or its record is gone

local dest, ARGV_OF_ONE = ARGV[1], 2

local e = load_endpoint(dest)
check('ZCARD', hook_lost_key(dest))

local function send_again(id, wait_us)
  local key, field = job_key(id), 'hook:' .. e.key
  local event, about = unpack(ask('HMGET', key, 'event', field))
  local sequence, state = string.match(about or '', '^(%d+) (%S+)')
  if not event or not state or state == 'waiting' then return 0 end
  redis.call('HSET', key, field, standing(sequence, 'waiting', 0, 'replayed'))
  redis.call('HINCRBY', key, 'open', 1)
  redis.call('PERSIST', key)
  redis.call('ZREM', hook_lost_key(dest), id)
  redis.call('ZADD', hook_lane_key(dest), int(NOW + wait_us), id .. '|1')
  count_in(PENDING, e.account, 1)
  set_out(dest, id, wait_us)
  return 1
end

local reply = {}
for at = 2, #ARGV, ARGV_OF_ONE do
  local _, sent = apart(send_again, unpack(ARGV, at, at + ARGV_OF_ONE - 1))
  reply[#reply + 1] = sent or 0
end
refresh_endpoint(e)
return reply, WRONG
