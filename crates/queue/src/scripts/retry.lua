#!lua flags=allow-oom
-- retry: active → scheduled, due again after its backoff, with one failed attempt more.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each kind: lease, due
-- ARGV   1 wake channel, then five for each job: kind (1…), id, token, backoff in ms, state
--        (behind the time)
-- reply  now ms, then a verdict for each job (1 done, 0 stale, 2 already settled)
local now = clock()
local reply, places, held = judge(now, 2, 5)
if #held == 0 then
  return reply
end
expect('HLEN', 1, 4)
expect('ZCARD', 5, #KEYS)
local leases, due, states = {}, {}, {}
for _, at in ipairs(places) do
  local kind, id = 3 + 2 * tonumber(ARGV[at]), ARGV[at + 1]
  push(leases, KEYS[kind], id)
  push(due, KEYS[kind + 1], now + tonumber(ARGV[at + 3]), id)
  push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 4])
end

redis.call('HDEL', KEYS[2], unpack(held))
each('ZREM', leases)
each('HSET', states)
put_due(due, ARGV[1])
count(KEYS[4], now, 'failed', #held)
return reply
