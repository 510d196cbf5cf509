#!lua flags=allow-oom
-- release: active → ready, unspent: no attempt is counted. With a delay it is a snooze, active →
-- scheduled.
--
-- KEYS   1 jobs  2 active  3 state  then two for each kind: lease, due
-- ARGV   1 wake channel, then four for each job: kind (1…), id, token, delay in ms
-- reply  now ms, then a verdict for each job (1 done, 0 stale, 2 already settled)
local now = clock()
local reply, places, held = judge(now, 2, 4)
if #held == 0 then
  return reply
end
local leases, due = {}, {}
for _, at in ipairs(places) do
  local kind, id = 2 + 2 * tonumber(ARGV[at]), ARGV[at + 1]
  push(leases, KEYS[kind], id)
  push(due, KEYS[kind + 1], now + tonumber(ARGV[at + 3]), id)
end

redis.call('HDEL', KEYS[2], unpack(held))
each('ZREM', leases)
put_due(due, ARGV[1])
return reply
