#!lua flags=allow-oom
-- ask: a live worker is to go quiet or to stop. What is asked lives as long as its registration; a
-- stop is not taken back by a quiet.
--
-- KEYS   1 the worker's registration  2 what is asked of it
-- ARGV   1 "quiet" | "stop"  2 requests channel  3 worker id
-- reply  now ms, 1 asked (0: no such worker lives)
local now = clock()
local ttl = redis.call('PTTL', KEYS[1])
if ttl <= 0 then
  return { now, 0 }
end
if redis.call('GET', KEYS[2]) ~= 'stop' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ttl)
end
publish(ARGV[2], ARGV[3])
return { now, 1 }
