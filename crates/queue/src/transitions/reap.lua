#!lua flags=allow-oom
-- reap: active, lease run out → scheduled (it crashed or lost its worker) | dead (it crashed too
-- often; it joins the group of its cause) | cancelled (on request). Where the holder has extended or settled meanwhile, nothing
-- changes.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then four for each kind: lease, due, dead, cancelled; then the
--        failures of each kind
-- ARGV   1 wake channel  2 finished channel  3 ms that cancelled jobs are kept  4 number n
--        of jobs, then n ids, n tokens, n kinds (1…), n times ms until it is due again (-1: bury), n
--        states (behind the time), n causes (1…; 0: none); then the causes, as in bury
-- reply  now ms, then for each job that is not simply reaped: its place (0…) and verdict (3 cancelled,
--        0 or 2 not reaped)
local now = clock()
local reply, n, places, _, to_cancel = check_leases(now, 4)
local leases, due, dead, cancelled, states = {}, {}, {}, {}, {}
local reaped, buried, ended, kinds, causes = {}, {}, {}, (#KEYS - 4) / 5, 4 + 6 * n
for _, at in ipairs(places) do
  local nth, id, delay = tonumber(ARGV[at + 2 * n]), ARGV[at], tonumber(ARGV[at + 3 * n])
  local kind, state, cause = 1 + 4 * nth, ARGV[at + 4 * n], tonumber(ARGV[at + 5 * n])
  local deadline = tonumber(redis.call('ZSCORE', KEYS[kind], id))
  if not deadline or deadline > now then
    reply[#reply + 1] = at - 5
    reply[#reply + 1] = STALE
  else
    push(leases, KEYS[kind], id)
    reaped[#reaped + 1] = id
    if to_cancel[id] then
      push(cancelled, KEYS[kind + 3], now + tonumber(ARGV[3]), id)
      ended[#ended + 1] = id
    elseif delay < 0 then
      if cause > 0 then
        state = join_group(KEYS[4 + 4 * kinds + nth], causes + 3 * cause - 2, now, id, state)
      end
      push(dead, KEYS[kind + 2], now, id)
      buried[#buried + 1] = id
    else
      push(due, KEYS[kind + 1], now + delay, id)
    end
    push(states, KEYS[3], id, now .. ' ' .. state)
  end
end
if #reaped == 0 then
  return reply
end

end_leases(reaped, leases, states, 4 + 4 * kinds)
each('ZADD', dead)
write_groups()
each('ZADD', cancelled)
put_due(due, ARGV[1])
count(KEYS[4], now, 'reaped', #reaped)
tell_ended(KEYS[4], now, ARGV[2], 'buried', buried)
tell_ended(KEYS[4], now, ARGV[2], 'cancelled', ended)
return reply
