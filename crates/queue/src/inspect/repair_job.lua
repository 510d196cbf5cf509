#!lua flags=allow-oom
-- repair_job: moves one job into the one set where it belongs, and removes entries that contradict that; or
-- removes an id that cannot be a job. Nothing happens unless everything is as it was when the facts were read.
--
-- KEYS   1 jobs  2 active  3 state  4 kinds  5 records set aside
--        then five for each kind: due, lease, done, cancelled, dead; then the failures of each kind
-- ARGV   1 id  2 SHA-1 of its record ("": none)  3 entry of active behind "=" ("": none)
--        4 a "1" (it has one) or "0" for its entry of state, then (it is in it) for each set
--        5 the set where it belongs (1… of the sets; 0: none, its record is set aside)
--        6 the set whose score it keeps when it moves (0: none, it becomes due)
--        7 the earliest due time in that case, ms  8 kind of the set where it belongs
--        9 "1": its entry of active stays  10 wake channel
-- reply  now ms, 1 done (0: something has changed)
local now = clock()
local id, target, source = ARGV[1], tonumber(ARGV[5]), tonumber(ARGV[6])
local record, entry = redis.call('HGET', KEYS[1], id), redis.call('HGET', KEYS[2], id)
if (record and redis.sha1hex(record) or '') ~= ARGV[2] or (entry and '=' .. entry or '') ~= ARGV[3] then
  return { now, 0 }
end
if redis.call('HEXISTS', KEYS[3], id) ~= tonumber(string.sub(ARGV[4], 1, 1)) then
  return { now, 0 }
end
local scores, kinds = {}, (#KEYS - 5) / 6
for k = 6, 5 + 5 * kinds do
  scores[k - 5] = redis.call('ZSCORE', KEYS[k], id)
  if (scores[k - 5] and '1' or '0') ~= string.sub(ARGV[4], k - 4, k - 4) then
    return { now, 0 }
  end
end
expect('SCARD', 4, 4)
expect('HLEN', 5, 5)
-- A job that is no longer dead leaves its group; one that is in the dead sets of two kinds is counted by one of them.
local known = redis.call('HGET', KEYS[3], id)
for place, score in pairs(scores) do
  if score and place % 5 == 0 and place ~= target then
    leave_group(KEYS[5 + 5 * kinds + place / 5], known)
  end
end

for place, score in ipairs(scores) do
  if score and place ~= target then
    redis.call('ZREM', KEYS[5 + place], id)
  end
end
write_groups()
if entry and ARGV[9] ~= '1' then
  redis.call('HDEL', KEYS[2], id)
end
if target == 0 then
  if record then
    redis.call('HSET', KEYS[5], id .. ' ' .. now, record)
  end
  redis.call('HDEL', KEYS[1], id)
  redis.call('HDEL', KEYS[3], id)
elseif not scores[target] then
  local score = source > 0 and tonumber(scores[source]) or math.max(now, tonumber(ARGV[7]))
  redis.call('SADD', KEYS[4], ARGV[8])
  if target % 5 == 1 then
    put_due({ [KEYS[5 + target]] = { score, id } }, ARGV[10])
  else
    redis.call('ZADD', KEYS[5 + target], score, id)
  end
end
return { now, 1 }
