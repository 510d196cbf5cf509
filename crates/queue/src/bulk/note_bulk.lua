#!lua flags=allow-oom
-- note_bulk: writes the progress of a bulk operation, if the caller still holds it, and ends it on request.
--
-- KEYS   1 the bulk operation  2 open  3 ended
-- ARGV   1 token  2 ms that the runner holds it from now on  3 id  4 its final state ("": it goes on)  5 ms that ended
--        ones are kept  6 ended ones kept at most  then fields and values
-- reply  now ms, 1 written (0: another runner holds it, or it is gone), 1 it is to be aborted, number of open ones;
--        the ids of too many ended ones, which left their list here, and whose keys the caller removes
local now = clock()
local known = redis.call('HMGET', KEYS[1], 'token', 'state')
local open = redis.call('ZCARD', KEYS[2])
if known[1] ~= ARGV[1] then
  return { now, 0, 0, open }
end
expect('ZCARD', 3, 3)
redis.call('HSET', KEYS[1], 'held_until', text(now + tonumber(ARGV[2])), unpack(ARGV, 7))
local excess = {}
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'state', ARGV[4], 'ended', text(now), 'token', '0')
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[3])
  redis.call('ZADD', KEYS[3], text(now), ARGV[3])
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now - tonumber(ARGV[5])))
  excess = redis.call('ZRANGE', KEYS[3], 0, -1 - tonumber(ARGV[6]))
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - tonumber(ARGV[6]))
end
return { now, 1, known[2] == 'aborting' and 1 or 0, open, excess }
