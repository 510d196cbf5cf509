#!lua flags=allow-oom
-- note_build: remembers when a build first started. Of many builds, the latest stay.
--
-- KEYS   1 builds (ZSET `<program> <build>` → ms of its first start)
-- ARGV   1 program and build  2 builds kept at most
-- reply  now ms
local now = clock()
redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
return { now }
