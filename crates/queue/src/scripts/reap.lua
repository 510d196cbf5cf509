#!lua flags=allow-oom
-- reap: active, lease run out → scheduled (it crashed or lost its worker) | dead (it crashed too
-- often). Where the holder extended or settled in the meantime, nothing changes.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then three for each kind: lease, due, dead
-- ARGV   1 wake channel  2 finished channel, then five for each job: kind (1…), id, token,
--        ms until it is due again (-1: bury), state (behind the time)
-- reply  now ms, then a verdict for each job (1 reaped, 0 or 2 not)
local now = clock()
local reply, places = judge(now, 3, 5)
local leases, due, dead, states, reaped, buried = {}, {}, {}, {}, {}, {}
for _, at in ipairs(places) do
  local kind, id, delay = 2 + 3 * tonumber(ARGV[at]), ARGV[at + 1], tonumber(ARGV[at + 3])
  local deadline = tonumber(redis.call('ZSCORE', KEYS[kind], id))
  if not deadline or deadline > now then
    reply[1 + (at + 2) / 5] = STALE
  else
    push(leases, KEYS[kind], id)
    push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 4])
    reaped[#reaped + 1] = id
    if delay < 0 then
      push(dead, KEYS[kind + 2], now, id)
      buried[#buried + 1] = id
    else
      push(due, KEYS[kind + 1], now + delay, id)
    end
  end
end
if #reaped == 0 then
  return reply
end
expect('HLEN', 1, 4)
expect('ZCARD', 5, #KEYS)

redis.call('HDEL', KEYS[2], unpack(reaped))
each('ZREM', leases)
each('HSET', states)
each('ZADD', dead)
put_due(due, ARGV[1])
count(KEYS[4], now, 'reaped', #reaped)
count(KEYS[4], now, 'buried', #buried)
if #buried > 0 then
  redis.call('PUBLISH', ARGV[2], table.concat(buried, ' '))
end
return reply
