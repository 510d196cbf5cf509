#!lua flags=no-writes
-- sample: the figures of a queue for metrics.
--
-- KEYS   1 kinds  then two for each kind that the caller knows of: due, dead
-- ARGV   –
-- reply  now ms, the kinds that have sets here as a list, then over all KEYS: jobs that are ready, the earliest due
--        time of these in ms (-1: none is ready), dead jobs
local now = clock()
local ready, earliest, dead = 0, -1, 0
for k = 2, #KEYS, 2 do
  ready = ready + redis.call('ZCOUNT', KEYS[k], '-inf', now)
  local due = tonumber(redis.call('ZRANGE', KEYS[k], 0, 0, 'WITHSCORES')[2])
  if due and due <= now and (earliest < 0 or due < earliest) then
    earliest = due
  end
  dead = dead + redis.call('ZCARD', KEYS[k + 1])
end
return { now, redis.call('SMEMBERS', KEYS[1]), ready, earliest, dead }
