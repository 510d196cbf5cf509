#!lua flags=allow-oom
-- remove_kind: removes a kind from the catalogue. A worker that has it publishes it again.
--
-- KEYS   1 kinds  2 changes  3 held
-- ARGV   1 channel  2 kind  3 seen generation
-- reply  now ms, 1 done, or 0 the entry is another one
local now = clock()
expect('HLEN', 1, 1)
expect('HLEN', 3, 3)
if tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2])) ~= tonumber(ARGV[3]) then
  return { now, 0 }
end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[2])
publish(ARGV[1], '-' .. ARGV[2])
return { now, 1 }
