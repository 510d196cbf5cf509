#!lua flags=allow-oom
-- bury: active → dead, until an operator redrives or deletes it.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each kind: lease, dead
-- ARGV   1 finished channel  2 number n of jobs, then n ids, n tokens, n kinds (1…), n states (behind
--        the time)
-- reply  now ms, then for each job that is not done: its place (0…) and verdict (3 done, 0 stale,
--        2 already settled)
local now = clock()
local reply, n, places, leased = check_leases(now, 2)
if #leased == 0 then
  return reply
end
local leases, dead, states = {}, {}, {}
for _, at in ipairs(places) do
  local kind, id = 3 + 2 * tonumber(ARGV[at + 2 * n]), ARGV[at]
  push(leases, KEYS[kind], id)
  push(dead, KEYS[kind + 1], now, id)
  push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 3 * n])
end

end_leases(leased, leases, states)
each('ZADD', dead)
tell_ended(KEYS[4], now, ARGV[1], 'buried', leased)
return reply
