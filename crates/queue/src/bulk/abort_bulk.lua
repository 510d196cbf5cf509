#!lua flags=allow-oom
-- abort_bulk: asks the runner of a bulk operation to stop. One that waits ends here.
--
-- KEYS   1 the bulk operation  2 open  3 ended
-- ARGV   1 id  2 ms that ended ones are kept  3 ended ones kept at most
-- reply  now ms, its state before ("": there is none), the ids of too many ended ones, as in note_bulk
local now = clock()
local state = redis.call('HGET', KEYS[1], 'state')
expect('ZCARD', 2, 3)
local excess = {}
if state == 'waiting' then
  redis.call('HSET', KEYS[1], 'state', 'aborted', 'ended', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[3], text(now), ARGV[1])
  excess = redis.call('ZRANGE', KEYS[3], 0, -1 - tonumber(ARGV[3]))
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[3]))
elseif state == 'running' then
  redis.call('HSET', KEYS[1], 'state', 'aborting')
end
return { now, state or '', excess }
