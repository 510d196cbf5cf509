#!lua flags=allow-oom
-- redrive: dead → ready, with all its attempts again and no crash counted.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  5 due  6 lease  7 done  8 cancelled  9 dead
--        10 failures
-- ARGV   1 id  2 wake channel  3 only if this is its score (optional)
-- reply  now ms, 1 done (0: its state forbids it), place in KEYS where it was found (0: nowhere), score
--        there
local now = clock()
local id, place, score, moved = ARGV[1], find(ARGV[1], ARGV[3])
if place ~= DEAD or moved then
  return { now, 0, place, score }
end
local state = redis.call('HGET', KEYS[3], id)
leave_group(KEYS[10], state)
redis.call('ZREM', KEYS[DEAD], id)
redis.call('HSET', KEYS[3], id, started_over(now, state))
write_groups()
put_due({ [KEYS[DUE]] = { now, id } }, ARGV[2])
count(KEYS[4], now, 'redriven', 1)
return { now, 1, place, score }
