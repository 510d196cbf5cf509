#!lua flags=allow-oom
-- purge: scheduled | ready | completed | cancelled | dead → gone, for many jobs of a queue.
--
-- KEYS   1 jobs  2 state  3 stats  then the set of each kind that holds the jobs; for dead jobs then the failures
--        of each kind
-- ARGV   1 jobs removed at most  2 finished channel  3 "scheduled" | "ready": that part of the due
--        sets; "": all that the sets hold  4 number of kinds
-- reply  now ms, number removed, number left
local now = clock()
expect('HLEN', 1, 3)
local kinds = tonumber(ARGV[4])
expect('ZCARD', 4, 3 + kinds)
expect('HLEN', 4 + kinds, #KEYS)
local first = ARGV[3] == 'scheduled' and '(' .. now or '-inf'
local last = ARGV[3] == 'ready' and now or '+inf'
local room, gone, found, left = tonumber(ARGV[1]), {}, {}, 0
for k = 4, 3 + kinds do
  left = left + redis.call('ZCOUNT', KEYS[k], first, last)
  found[k] = room > 0 and redis.call('ZRANGEBYSCORE', KEYS[k], first, last, 'LIMIT', 0, room) or {}
  room = room - #found[k]
  local failures = KEYS[k + kinds]
  if failures and #found[k] > 0 and redis.call('HLEN', failures) > 0 then
    for _, state in ipairs(redis.call('HMGET', KEYS[2], unpack(found[k]))) do
      leave_group(failures, state)
    end
  end
end

write_groups()
for k, ids in pairs(found) do
  if #ids > 0 then
    redis.call('ZREM', KEYS[k], unpack(ids))
    redis.call('HDEL', KEYS[2], unpack(ids))
    redis.call('HDEL', KEYS[1], unpack(ids))
    if KEYS[k + kinds] then
      forget_groups_of_none(KEYS[k], KEYS[k + kinds])
    end
    for _, id in ipairs(ids) do
      gone[#gone + 1] = id
    end
  end
end
tell_ended(KEYS[3], now, ARGV[2], 'deleted', gone)
return { now, #gone, left - #gone }
