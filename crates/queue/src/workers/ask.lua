#!lua flags=allow-oom
-- ask: requests a live worker to go quiet or to stop. The request expires with its registration; a quiet does not
-- replace a stop.
--
-- KEYS   1 the worker's registration  2 the request to it
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
