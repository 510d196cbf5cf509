#!lua flags=allow-oom
-- bury: active → dead, until an operator redrives or deletes it. It joins the group of its cause.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each kind: lease, dead; then the failures of each kind
-- ARGV   1 finished channel  2 number n of jobs, then n ids, n tokens, n kinds (1…), n states (behind
--        the time), n causes (1…; 0: none); then three for each cause: fingerprint, build, the error of the
--        first job with this cause
-- reply  now ms, then for each job that is not done: its place (0…) and verdict (3 done, 0 stale,
--        2 already settled)
local now = clock()
local reply, n, places, leased = check_leases(now, 2)
if #leased == 0 then
  return reply
end
local leases, dead, states, kinds, causes = {}, {}, {}, (#KEYS - 4) / 3, 2 + 5 * n
for _, at in ipairs(places) do
  local kind, id, state = tonumber(ARGV[at + 2 * n]), ARGV[at], ARGV[at + 3 * n]
  local cause = tonumber(ARGV[at + 4 * n])
  if cause > 0 then
    state = join_group(KEYS[4 + 2 * kinds + kind], causes + 3 * cause - 2, now, id, state)
  end
  push(leases, KEYS[3 + 2 * kind], id)
  push(dead, KEYS[4 + 2 * kind], now, id)
  push(states, KEYS[3], id, now .. ' ' .. state)
end

end_leases(leased, leases, states, 4 + 2 * kinds)
each('ZADD', dead)
write_groups()
tell_ended(KEYS[4], now, ARGV[1], 'buried', leased)
return reply
