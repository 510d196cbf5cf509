#!lua flags=allow-oom
-- reschedule: scheduled | ready → the same, due at another time.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  5 due  6 lease  7 done  8 cancelled  9 dead
-- ARGV   1 id  2 delay in ms (negative: minus the due time, Unix ms)  3 "1": only to an earlier time
--        4 wake channel  5 only if this is its score (optional)
-- reply  now ms, 1 done (0: its state forbids it), place in KEYS where it was found (0: nowhere), score
--        there
local now = clock()
local id, place, score, moved = ARGV[1], find(ARGV[1], ARGV[5])
if place ~= DUE or moved then
  return { now, 0, place, score }
end
local at = tonumber(ARGV[2])
local due = at < 0 and -at or now + at
if ARGV[3] ~= '1' or due < score then
  put_due({ [KEYS[DUE]] = { due, id } }, ARGV[4])
end
return { now, 1, place, score }
