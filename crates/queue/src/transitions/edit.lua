#!lua
-- edit: scheduled | ready → the same, with another record, another due time, or both.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  5 due  6 lease  7 done  8 cancelled  9 dead
-- ARGV   1 id  2 the version that the job must have  3 record  4 wake channel
--        5 delay in ms (negative: minus the due time, Unix ms; "": the due time stays)
--        6 state behind time and token ("": it stays)
-- reply  now ms, 1 done (0: its state or its version forbids it), place in KEYS where it was found (0: nowhere),
--        score there
local now = clock()
local id, place, score = ARGV[1], find(ARGV[1])
-- The version is made like this in view/job.rs too.
if place ~= DUE or redis.sha1hex(redis.call('HGET', KEYS[1], id) .. ' ' .. text(score)) ~= ARGV[2] then
  return { now, 0, place, score }
end
redis.call('HSET', KEYS[1], id, ARGV[3])
if ARGV[6] ~= '' then
  local known = redis.call('HGET', KEYS[3], id) or ''
  redis.call('HSET', KEYS[3], id, (string.match(known, '^%d+ %d+ ') or now .. ' 0 ') .. ARGV[6])
end
local at = tonumber(ARGV[5])
if at then
  put_due({ [KEYS[DUE]] = { at < 0 and -at or now + at, id } }, ARGV[4])
end
return { now, 1, place, score }
