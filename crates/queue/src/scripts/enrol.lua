#!lua flags=allow-oom
-- enrol: lists a name of which there are keys, so that those who go by the list find them. Jobs may
-- be waiting there that no worker's sleep counts with: all look.
--
-- KEYS   1 the list: kinds (of a queue) or queues  then keys of that name
-- ARGV   1 name  2 wake channel
-- reply  now ms, 1 done (0: it is listed, or none of the keys exists)
local now = clock()
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 or redis.call('EXISTS', unpack(KEYS, 2)) == 0 then
  return { now, 0 }
end
redis.call('SADD', KEYS[1], ARGV[1])
publish(ARGV[2], now)
return { now, 1 }
