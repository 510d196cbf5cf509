#!lua flags=no-writes
-- job: the current state of one job.
--
-- KEYS   1 jobs  2 active  3 state  4 due  5 lease  6 done  7 cancelled  8 dead
-- ARGV   1 id  2 "record" to read the record, "state" to read everything else
-- reply  now ms, record ("1" instead of it if it was not asked for), entry of active, state, then the job's score in each
--        set, in the order of KEYS. A missing value is ""
local reply = { (clock()) }
if ARGV[2] == 'record' then
  reply[2] = redis.call('HGET', KEYS[1], ARGV[1]) or ''
else
  reply[2] = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 and '1' or ''
end
for k = 2, 3 do
  reply[#reply + 1] = redis.call('HGET', KEYS[k], ARGV[1]) or ''
end
for k = 4, 8 do
  reply[#reply + 1] = redis.call('ZSCORE', KEYS[k], ARGV[1]) or ''
end
return reply
