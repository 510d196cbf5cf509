#!lua flags=allow-oom
-- extend: active, for longer. Only the token counts: a lease that ran out but that nobody has
-- reaped is prolonged like any other.
--
-- KEYS   1 jobs  2 active  3 state  then the lease set of each kind
-- ARGV   1 lease in ms, then three for each job: kind (1…), id, token
-- reply  now ms, then a verdict for each job (1 held, 3 held and to be cancelled, 0 stale, 2 already
--        settled)
local now = clock()
local reply, places = judge(now, 2, 3)
expect('ZCARD', 4, #KEYS)
local leases = {}
for _, at in ipairs(places) do
  push(leases, KEYS[3 + tonumber(ARGV[at])], now + tonumber(ARGV[1]), ARGV[at + 1])
end
each('ZADD', leases)
return reply
