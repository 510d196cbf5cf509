#!lua flags=allow-oom
-- pause: hands out no more jobs of the queue. Active jobs are not affected.
--
-- KEYS   1 paused
-- ARGV   –
-- reply  now ms (a list of one)
local now = clock()
redis.call('SET', KEYS[1], now, 'NX')
return { now }
