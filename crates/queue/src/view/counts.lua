#!lua flags=no-writes
-- counts: how many jobs of a queue are in which state, and its counters of the last minutes.
--
-- KEYS   1 paused  2 stats  then five for each kind: due, lease, done, cancelled, dead
-- ARGV   –
-- reply  now ms, paused (0|1), stats as a flat list, then for each kind: waiting, of these ready,
--        earliest due ms (-1: none), active, completed, cancelled, dead
local now = clock()
local reply = { now, redis.call('EXISTS', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
for k = 3, #KEYS, 5 do
  local n = #reply
  reply[n + 1] = redis.call('ZCARD', KEYS[k])
  reply[n + 2] = redis.call('ZCOUNT', KEYS[k], '-inf', now)
  reply[n + 3] = tonumber(redis.call('ZRANGE', KEYS[k], 0, 0, 'WITHSCORES')[2]) or -1
  for s = 1, 4 do
    reply[n + 3 + s] = redis.call('ZCARD', KEYS[k + s])
  end
end
return reply
