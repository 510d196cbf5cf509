#!lua flags=allow-oom
-- decide_held: brings the definition of a kind that is held into force, or drops it.
--
-- KEYS   1 kinds  2 changes  3 held
-- ARGV   1 channel  2 kind  3 seen generation  4 "accept" or "reject"
-- reply  now ms, 1 done, or 0 the entry is another one, or nothing is held
local now, micros = clock()
expect('HLEN', 1, 1)
local known = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]))
local held = redis.call('HGET', KEYS[3], ARGV[2])
if known ~= tonumber(ARGV[3]) or not held then
  return { now, 0 }
end
local last = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2])
local generation = text(math.max(last, micros) + 1)
if ARGV[4] == 'accept' then
  redis.call('HSET', KEYS[1], ARGV[2], held)
end
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[2], generation, ARGV[2])
publish(ARGV[1], generation)
return { now, 1 }
