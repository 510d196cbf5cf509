#!lua flags=allow-oom
-- cancel: scheduled | ready → cancelled. For an active job it is a request: a mark in `active` that each extend
-- returns, and that turns its next retry, release or reap into its cancellation. A cancelled job stays cancelled.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  5 due  6 lease  7 done  8 cancelled  9 dead
-- ARGV   1 id  2 ms that cancelled jobs are kept  3 finished channel  4 requests channel
--        5 only if it is at this score, or active if that is 'lease' (optional)
-- reply  now ms, 1 done (0: its state forbids it), place in KEYS where it was found (0: nowhere), score
--        there
local now = clock()
local id, place, score, moved = ARGV[1], find(ARGV[1], ARGV[5])
if moved then
  return { now, 0, place, score }
end
local entry = place == LEASE and redis.call('HGET', KEYS[2], id)
if place == DUE then
  redis.call('ZREM', KEYS[DUE], id)
  redis.call('ZADD', KEYS[CANCELLED], now + tonumber(ARGV[2]), id)
  redis.call('HSET', KEYS[3], id, at_time(now, redis.call('HGET', KEYS[3], id)))
  tell_ended(KEYS[4], now, ARGV[3], 'cancelled', { id })
elseif entry then
  redis.call('HSET', KEYS[2], id, (string.gsub(entry, '^(%d+) ', '%1! ')))
  publish(ARGV[4], id)
elseif place ~= CANCELLED then
  return { now, 0, place, score }
end
return { now, 1, place, score }
