#!lua flags=allow-oom
-- pause: the queue gives out no more jobs. What is active goes on.
--
-- KEYS   1 paused
-- ARGV   –
-- reply  now ms (a list of one)
local now = clock()
redis.call('SET', KEYS[1], now, 'NX')
return { now }
