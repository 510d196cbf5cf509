#!lua flags=allow-oom
-- recount: corrects a group of dead jobs. Nothing happens if it has changed since it was read.
--
-- KEYS   1 failures
-- ARGV   1 fingerprint  2 its value as it was read ("": none)  3 its new value ("": it is removed)
-- reply  now ms, 1 done (0: it has changed)
local now = clock()
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
  return { now, 0 }
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return { now, 1 }
