#!lua flags=allow-oom
-- purge: scheduled | ready | completed | cancelled | dead → gone, for many jobs of a queue.
--
-- KEYS   1 jobs  2 state  3 stats  then the set of each kind that holds the jobs
-- ARGV   1 jobs removed at most  2 finished channel  3 "scheduled" | "ready": that part of the due
--        sets; "": all that the sets hold
-- reply  now ms, number removed, number left
local now = clock()
expect('HLEN', 1, 3)
expect('ZCARD', 4, #KEYS)
local first = ARGV[3] == 'scheduled' and '(' .. now or '-inf'
local last = ARGV[3] == 'ready' and now or '+inf'
local room, gone, found, left = tonumber(ARGV[1]), {}, {}, 0
for k = 4, #KEYS do
  left = left + redis.call('ZCOUNT', KEYS[k], first, last)
  found[k] = room > 0 and redis.call('ZRANGEBYSCORE', KEYS[k], first, last, 'LIMIT', 0, room) or {}
  room = room - #found[k]
end

for k, ids in pairs(found) do
  if #ids > 0 then
    redis.call('ZREM', KEYS[k], unpack(ids))
    redis.call('HDEL', KEYS[2], unpack(ids))
    redis.call('HDEL', KEYS[1], unpack(ids))
    for _, id in ipairs(ids) do
      gone[#gone + 1] = id
    end
  end
end
tell_ended(KEYS[3], now, ARGV[2], 'deleted', gone)
return { now, #gone, left - #gone }
