#!lua flags=allow-oom
-- delete: scheduled | ready | completed | cancelled | dead → gone. Not while it is active.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  5 due  6 lease  7 done  8 cancelled  9 dead
--        10 failures
-- ARGV   1 id  2 finished channel  3 only if this is its score (optional)
-- reply  now ms, 1 done (0: its state forbids it), place in KEYS where it was found (0: nowhere), score
--        there
local now = clock()
local id, place, score, moved = ARGV[1], find(ARGV[1], ARGV[3])
if place == 0 or place == LEASE or moved then
  return { now, 0, place, score }
end
if place == DEAD then
  leave_group(KEYS[10], redis.call('HGET', KEYS[3], id))
end
redis.call('ZREM', KEYS[place], id)
redis.call('HDEL', KEYS[3], id)
redis.call('HDEL', KEYS[1], id)
write_groups()
tell_ended(KEYS[4], now, ARGV[2], 'deleted', { id })
return { now, 1, place, score }
