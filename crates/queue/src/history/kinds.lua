#!lua flags=no-writes
-- kinds: the kinds of a queue that have a history, those with the latest news.
--
-- KEYS   1 kinds with a history
-- ARGV   1 kinds at most
-- reply  now ms, number of all, then two for each kind: its name, ms at which its history expires
local now = clock()
local reply = { now, redis.call('ZCARD', KEYS[1]) }
for _, part in ipairs(redis.call('ZRANGE', KEYS[1], -tonumber(ARGV[1]), -1, 'WITHSCORES')) do
  reply[#reply + 1] = part
end
return reply
