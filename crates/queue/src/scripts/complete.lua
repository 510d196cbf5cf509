#!lua flags=allow-oom
-- complete: active → completed, kept for its retention; with retention 0 it is removed at once.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each kind: lease, done
-- ARGV   1 finished channel  2 completed jobs kept of a kind at most
--        then five for each job: kind (1…), id, token, retention in ms, state (behind the time)
-- reply  now ms, then a verdict for each job (1, 3 done, 0 stale, 2 already settled)
local now = clock()
local reply, places, held = judge(now, 3, 5)
if #held == 0 then
  return reply
end
expect('HLEN', 1, 4)
expect('ZCARD', 5, #KEYS)
local leases, done, states, gone, room = {}, {}, {}, {}, 1000
for _, at in ipairs(places) do
  local kind, id, retention = 3 + 2 * tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 3])
  push(leases, KEYS[kind], id)
  if retention > 0 then
    push(done, KEYS[kind + 1], now + retention, id)
    push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 4])
  else
    gone[#gone + 1] = id
  end
end

redis.call('HDEL', KEYS[2], unpack(held))
each('ZREM', leases)
each('ZADD', done)
each('HSET', states)
for key in pairs(done) do -- the oldest make room, as many a call as a script may touch
  local over = math.min(redis.call('ZCARD', key) - tonumber(ARGV[2]), room)
  if over > 0 then
    room = room - over
    for _, id in ipairs(redis.call('ZRANGE', key, 0, over - 1)) do
      gone[#gone + 1] = id
    end
    redis.call('ZREMRANGEBYRANK', key, 0, over - 1)
  end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('HDEL', KEYS[3], unpack(gone))
end
tell_ended(KEYS[4], now, ARGV[1], 'completed', held)
return reply
