#!lua flags=no-writes
-- job_facts: everything that is stored of some jobs, at one instant. A job that moves between two steps of an
-- audit seems broken there, but not here.
--
-- KEYS   1 jobs  2 active  3 state  then five for each kind: due, lease, done, cancelled, dead
-- ARGV   the ids
-- reply  now ms, then five for each id: record, its SHA-1 ("": none), entry of active (both nil where
--        there is none), whether state has one (0|1), and a "1" (in it) or "0" for each set
local reply = { (clock()) }
for _, id in ipairs(ARGV) do
  local record, sets, n = redis.call('HGET', KEYS[1], id), {}, #reply
  for k = 4, #KEYS do
    sets[k - 3] = redis.call('ZSCORE', KEYS[k], id) and '1' or '0'
  end
  reply[n + 1] = record
  reply[n + 2] = record and redis.sha1hex(record) or ''
  reply[n + 3] = redis.call('HGET', KEYS[2], id)
  reply[n + 4] = redis.call('HEXISTS', KEYS[3], id)
  reply[n + 5] = table.concat(sets)
end
return reply
