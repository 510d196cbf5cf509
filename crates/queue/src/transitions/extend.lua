#!lua flags=allow-oom
-- extend: active, for longer. Only the token counts: a lease that ran out and was not reaped is
-- extended like any other.
--
-- KEYS   1 jobs  2 active  3 state  then the lease set of each kind
-- ARGV   1 lease in ms  2 number n of jobs, then n ids, n tokens, n kinds (1…)
-- reply  now ms, then for each job that is not simply extended: its place (0…) and verdict (3 extended and
--        to be cancelled, 0 stale, 2 already settled)
local now = clock()
local reply, n, places = check_leases(now, 2)
expect('ZCARD', 4, #KEYS)
local leases = {}
for _, at in ipairs(places) do
  push(leases, KEYS[3 + tonumber(ARGV[at + 2 * n])], now + tonumber(ARGV[1]), ARGV[at])
end
each('ZADD', leases)
return reply
