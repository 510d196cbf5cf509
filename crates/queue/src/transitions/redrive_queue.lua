#!lua flags=allow-oom
-- redrive_queue: dead → ready, as redrive does it, for the jobs of a queue that died first.
--
-- KEYS   1 jobs  2 state  3 stats  then three for each kind: dead, due, failures
-- ARGV   1 jobs moved at most  2 wake channel
-- reply  now ms, number moved, number left. An id without a record is removed, as claim does it.
local now = clock()
expect('HLEN', 1, 3)
for k = 4, #KEYS, 3 do
  expect('ZCARD', k, k + 1)
  expect('HLEN', k + 2, k + 2)
end
local room, moved, left, due, taken, states = tonumber(ARGV[1]), 0, 0, {}, {}, {}
for k = 4, #KEYS, 3 do
  local ids = room > 0 and redis.call('ZRANGE', KEYS[k], 0, room - 1) or {}
  left = left + redis.call('ZCARD', KEYS[k]) - #ids
  if #ids > 0 then
    taken[k] = #ids
    local known = redis.call('HMGET', KEYS[2], unpack(ids))
    for i, id in ipairs(ids) do
      leave_group(KEYS[k + 2], known[i])
      if redis.call('HEXISTS', KEYS[1], id) == 1 then
        push(due, KEYS[k + 1], now, id)
        push(states, KEYS[2], id, started_over(now, known[i]))
        moved = moved + 1
      end
    end
    room = room - #ids
  end
end

write_groups()
for k, n in pairs(taken) do -- the jobs found are the first of their set
  redis.call('ZREMRANGEBYRANK', KEYS[k], 0, n - 1)
  forget_groups_of_none(KEYS[k], KEYS[k + 2])
end
each('HSET', states)
put_due(due, ARGV[2])
count(KEYS[3], now, 'redriven', moved)
return { now, moved, left }
