#!lua flags=allow-oom
-- resume: hands out jobs of the queue again.
--
-- KEYS   1 paused
-- ARGV   1 wake channel
-- reply  now ms (a list of one)
local now = clock()
if redis.call('DEL', KEYS[1]) == 1 then
  publish(ARGV[1], now)
end
return { now }
