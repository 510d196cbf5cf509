#!lua flags=allow-oom
-- unregister: removes a worker's registration. A worker that has drained leaves a note, which says that a job it
-- left running did not crash it.
--
-- KEYS   1 workers  2 the worker's registration  3 the request to it  4 the note that it stopped
-- ARGV   1 worker id  2 ms that the note is kept (0: none is left)
-- reply  now ms (a list of one)
local now = clock()
expect('ZCARD', 1, 1)
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3])
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[4], now, 'PX', ARGV[2])
end
return { now }
