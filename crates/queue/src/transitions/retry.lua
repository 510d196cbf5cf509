#!lua flags=allow-oom
-- retry: active → scheduled, due again after its backoff, with one failed attempt more; → cancelled
-- where a cancellation was requested.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then three for each kind: lease, due, cancelled
-- ARGV   1 wake channel  2 finished channel  3 ms that cancelled jobs are kept  4 number n
--        of jobs, then n ids, n tokens, n kinds (1…), n backoffs in ms, n states (behind the time)
-- reply  now ms, then for each job that is not done: its place (0…) and verdict (3 cancelled,
--        0 stale, 2 already settled)
local now = clock()
local reply, n, places, leased, to_cancel = check_leases(now, 4)
if #leased == 0 then
  return reply
end
local leases, due, cancelled, ended, states = {}, {}, {}, {}, {}
for _, at in ipairs(places) do
  local kind, id = 2 + 3 * tonumber(ARGV[at + 2 * n]), ARGV[at]
  push(leases, KEYS[kind], id)
  push(states, KEYS[3], id, now .. ' ' .. ARGV[at + 4 * n])
  if to_cancel[id] then
    push(cancelled, KEYS[kind + 2], now + tonumber(ARGV[3]), id)
    ended[#ended + 1] = id
  else
    push(due, KEYS[kind + 1], now + tonumber(ARGV[at + 3 * n]), id)
  end
end

end_leases(leased, leases, states)
each('ZADD', cancelled)
put_due(due, ARGV[1])
count(KEYS[4], now, 'failed', #leased)
tell_ended(KEYS[4], now, ARGV[2], 'cancelled', ended)
return reply
