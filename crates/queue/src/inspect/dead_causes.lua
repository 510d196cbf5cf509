#!lua flags=no-writes
-- dead_causes: how many of some dead jobs, in the order of their deaths, have which fingerprint in their state.
--
-- KEYS   1 state  2 dead
-- ARGV   1 id behind which it goes on ("": at the start)  2 score of that id  3 jobs looked at, at most
-- reply  now ms, then nothing more at the end, or "lost" if that id has moved; else id and score of the last job looked
--        at, then three for each fingerprint: it, number of jobs, one of them
local now, first, jobs, examples = clock(), 0, {}, {}
if ARGV[1] ~= '' then
  if redis.call('ZSCORE', KEYS[2], ARGV[1]) ~= ARGV[2] then
    return { now, 'lost' }
  end
  first = redis.call('ZRANK', KEYS[2], ARGV[1]) + 1
end
local ids = redis.call('ZRANGE', KEYS[2], first, first + tonumber(ARGV[3]) - 1)
if #ids == 0 then
  return { now }
end
for _, id in ipairs(ids) do
  local fp = fingerprint(redis.call('HGET', KEYS[1], id))
  if fp then
    jobs[fp], examples[fp] = (jobs[fp] or 0) + 1, id
  end
end
local reply = { now, ids[#ids], redis.call('ZSCORE', KEYS[2], ids[#ids]) }
for fp, n in pairs(jobs) do
  for _, part in ipairs({ fp, n, examples[fp] }) do
    reply[#reply + 1] = part
  end
end
return reply
