#!lua flags=allow-oom
-- take_bulk: gives a bulk operation to a runner, unless another one holds it.
--
-- KEYS   1 the bulk operation
-- ARGV   1 ms that the runner holds it  2 the runner
-- reply  now ms, 1 taken (0: it is held, or has ended), then its fields and values
local now, micros = clock()
local known = redis.call('HMGET', KEYS[1], 'state', 'token', 'held_until')
local is_open = known[1] == 'waiting' or known[1] == 'running' or known[1] == 'aborting'
if not is_open or tonumber(known[3]) > now then
  return { now, 0 }
end
redis.call('HSET', KEYS[1], 'token', text(math.max(tonumber(known[2]) + 1, micros)), 'runner', ARGV[2],
  'held_until', text(now + tonumber(ARGV[1])))
if known[1] == 'waiting' then
  redis.call('HSET', KEYS[1], 'state', 'running', 'started', text(now))
end
return { now, 1, redis.call('HGETALL', KEYS[1]) }
