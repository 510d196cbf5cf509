#!lua flags=allow-oom
-- release: active → ready, unspent: no attempt is counted. With a delay it is a snooze, active →
-- scheduled. Only the token goes into state, so that a repeated release is known.
--
-- KEYS   1 jobs  2 active  3 state  then two for each kind: lease, due
-- ARGV   1 wake channel, then four for each job: kind (1…), id, token, delay in ms
-- reply  now ms, then a verdict for each job (1 done, 0 stale, 2 already settled)
local now = clock()
local reply, places, held = judge(now, 2, 4)
if #held == 0 then
  return reply
end
expect('HLEN', 1, 3)
expect('ZCARD', 4, #KEYS)
local leases, due, states = {}, {}, {}
for _, at in ipairs(places) do
  local kind, id = 2 + 2 * tonumber(ARGV[at]), ARGV[at + 1]
  push(leases, KEYS[kind], id)
  push(due, KEYS[kind + 1], now + tonumber(ARGV[at + 3]), id)
  local known = redis.call('HGET', KEYS[3], id)
  local history = known and string.match(known, '^%d+ %d+ (.*)') or '0 {}'
  push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 2] .. ' ' .. history)
end

redis.call('HDEL', KEYS[2], unpack(held))
each('ZREM', leases)
each('HSET', states)
put_due(due, ARGV[1])
return reply
