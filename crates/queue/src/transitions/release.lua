#!lua flags=allow-oom
-- release: active → ready, unspent: no attempt is counted. With a delay it is a snooze, active →
-- scheduled; a job that was never started keeps the due time that it had. → cancelled where a
-- cancellation was requested, and then its state names its last run. Otherwise only the token is written into
-- state, so that a repeated release is recognized, unless the worker could not read the job.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then three for each kind: lease, due, cancelled
-- ARGV   1 wake channel  2 finished channel  3 ms that cancelled jobs are kept  4 number n
--        of jobs, then n ids, n tokens, n kinds (1…), n delays in ms (-1: due when it was),
--        n states (behind the time) for jobs that are cancelled ("": it was not started; with a "!" before
--        it: for any job)
-- reply  now ms, then for each job that is not done: its place (0…) and verdict (3 cancelled,
--        0 stale, 2 already settled)
local now = clock()
local reply, n, places, leased, to_cancel, entries = check_leases(now, 4)
if #leased == 0 then
  return reply
end
local leases, due, cancelled, ended, states = {}, {}, {}, {}, {}
for _, at in ipairs(places) do
  local kind, id = 2 + 3 * tonumber(ARGV[at + 2 * n]), ARGV[at]
  local given = ARGV[at + 4 * n]
  local state = string.match(given, '^!(.*)') or to_cancel[id] and given or ''
  if state == '' then
    local known = redis.call('HGET', KEYS[3], id)
    state = ARGV[at + n] .. ' ' .. (known and string.match(known, '^%d+ %d+ (.*)') or '0 {}')
  end
  push(leases, KEYS[kind], id)
  push(states, KEYS[3], id, now .. ' ' .. state)
  if to_cancel[id] then
    push(cancelled, KEYS[kind + 2], now + tonumber(ARGV[3]), id)
    ended[#ended + 1] = id
  else
    local delay = tonumber(ARGV[at + 3 * n])
    local was_due = delay < 0 and tonumber(string.match(entries[at - 4], '^%S+ (%S+)'))
    push(due, KEYS[kind + 1], was_due or now + math.max(delay, 0), id)
  end
end

end_leases(leased, leases, states)
each('ZADD', cancelled)
put_due(due, ARGV[1])
tell_ended(KEYS[4], now, ARGV[2], 'cancelled', ended)
return reply
