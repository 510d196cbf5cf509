#!lua flags=no-writes
-- inspect: everything that is stored of one job, at one instant.
--
-- KEYS   1 jobs  2 active  3 state  4 due  5 lease  6 done  7 cancelled  8 dead
-- ARGV   1 id
-- reply  now ms, record, entry of active, state, then its score in each set, in the order of KEYS
--        (nothing where it is in none: "")
local reply = { (clock()) }
for k = 1, 3 do
  reply[#reply + 1] = redis.call('HGET', KEYS[k], ARGV[1]) or ''
end
for k = 4, 8 do
  reply[#reply + 1] = redis.call('ZSCORE', KEYS[k], ARGV[1]) or ''
end
return reply
