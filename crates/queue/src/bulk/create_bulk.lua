#!lua flags=allow-oom
-- create_bulk: stores a bulk operation that waits for a runner. `allow-oom`: their number is bounded, and to delete
-- jobs in bulk is a way out of a full memory.
--
-- KEYS   1 the bulk operation  2 open  3 its idempotency key (optional)
-- ARGV   1 id  2 open ones at most  3 earliest ms of its creation  4 ms that the key is remembered  5 hash of the body
--        then its fields and values
-- reply  now ms, 1 created, 2 too many are open, 0 the key is known; then its value ("id hash")
local now, micros = clock()
local known = KEYS[3] and redis.call('GET', KEYS[3])
if known then
  return { now, 0, known }
end
expect('HLEN', 1, 1)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then
  return { now, 2 }
end
redis.call('HSET', KEYS[1], 'state', 'waiting', 'created', text(math.max(now, tonumber(ARGV[3]))), 'token', '0',
  'held_until', '0', unpack(ARGV, 6))
redis.call('ZADD', KEYS[2], text(micros), ARGV[1])
if KEYS[3] then
  redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. ARGV[5], 'PX', ARGV[4])
end
return { now, 1 }
