#!lua flags=allow-oom
-- heartbeat: renews a worker's registration, which expires unless it is renewed, and returns the request to the
-- worker.
--
-- KEYS   1 workers  2 the worker's registration  3 the request to it
-- ARGV   1 worker id  2 registration (JSON)  3 lifetime in ms
-- reply  now ms, "quiet" | "stop" | "" (no request)
local now = clock()
local asked = redis.call('GET', KEYS[3]) or ''
expect('ZCARD', 1, 1)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return { now, asked }
