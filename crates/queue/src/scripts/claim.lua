#!lua flags=allow-oom
-- claim: ready → active. Takes up to `limit` due jobs of the kinds that the worker names, in that
-- order, by due time within a kind, under one new token.
--
-- KEYS   1 jobs  2 active  3 state  4 fence  5 paused  then two for each kind: due, lease
-- ARGV   1 limit  2 lease in ms  3 holder (JSON of the worker)  4 how many suspects it may take:
--        jobs that two or more workers died with, of which a worker runs one at a time
--        5 ms that a suspect is put off when it is not its turn
-- reply  now ms, next due ms (-1: none), token, number of ids that had no record and were removed,
--        then five for each job: kind (1…), id, due ms, record, state ("": never failed)
local now, now_us = clock()
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { now, -1, '', 0 }
end
local free, lease, suspects = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local token = string.format('%.0f', math.max(now_us, (tonumber(redis.call('GET', KEYS[4])) or 0) + 1))
local behind_due = ' ' .. now .. ' ' .. ARGV[2] .. ' ' .. ARGV[3]
local reply, taken, active, leases, put_off, lost = { now, -1, token, 0 }, {}, {}, {}, {}, 0

for k = 6, #KEYS, 2 do
  local due = KEYS[k]
  local found = free > 0 and redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, free) or {}
  if #found > 0 then
    local ids = {}
    for i = 1, #found, 2 do
      ids[#ids + 1] = found[i]
    end
    local records = redis.call('HMGET', KEYS[1], unpack(ids))
    local states = redis.call('HMGET', KEYS[3], unpack(ids))
    taken[due] = #ids
    for i, id in ipairs(ids) do
      local crashes = states[i] and tonumber(string.match(states[i], '^%d+ %d+ (%d+)')) or 0
      if not records[i] then
        lost = lost + 1
      elseif crashes >= 2 and suspects < 1 then
        push(put_off, due, now + tonumber(ARGV[5]), id)
      else
        if crashes >= 2 then
          suspects = suspects - 1
        end
        free = free - 1
        push(leases, KEYS[k + 1], now + lease, id)
        local a, n = #active, #reply
        active[a + 1], active[a + 2] = id, token .. ' ' .. found[2 * i] .. behind_due
        reply[n + 1], reply[n + 2], reply[n + 3] = (k - 4) / 2, id, found[2 * i]
        reply[n + 4], reply[n + 5] = records[i], states[i] or ''
      end
    end
  end
end

if next(taken) then
  expect('HLEN', 2, 2)
  expect('ZCARD', 6, #KEYS)
end
for due, n in pairs(taken) do -- what was found stands first in its set, and nothing ran in between
  redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
end
each('ZADD', put_off)
if #active > 0 then
  redis.call('SET', KEYS[4], token)
  each('ZADD', leases)
  redis.call('HSET', KEYS[2], unpack(active))
end

local next_due
for k = 6, #KEYS, 2 do
  local first = tonumber(redis.call('ZRANGE', KEYS[k], 0, 0, 'WITHSCORES')[2])
  if first and (not next_due or first < next_due) then
    next_due = first
  end
end
reply[2], reply[4] = next_due or -1, lost
return reply
