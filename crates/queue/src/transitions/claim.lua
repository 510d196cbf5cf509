#!lua flags=allow-oom
-- claim: ready → active. Takes due jobs of the kinds that the worker names, in that order, by due time within a
-- kind, under one new token, up to a number and a size. The first job is taken whatever its size.
--
-- KEYS   1 jobs  2 active  3 state  4 fence  5 paused  then two for each kind: due, lease
-- ARGV   1 limit  2 lease in ms  3 holder (JSON of the worker)  4 how many suspects it may take:
--        jobs that crashed too many workers, of which a worker runs one at a time
--        5 ms that a suspect is put off when it is not its turn  6 crashes that make a suspect
--        7 bytes of records and states at most  8 number of jobs expected to have so many bytes; then,
--        where the other workers shall hear that all due jobs are taken: 9 wake channel  10 what the
--        message holds between the next due time and the watcher  11 id of this worker  12 it becomes
--        the watcher if it takes fewer jobs
-- reply  now ms, next due ms (-1: none), token, number of ids that had no record and were removed,
--        bytes of records and states, number of workers that received it (-1: not published), then four
--        for each group of jobs found, all of one kind: place of the kind (1…), a list of ids and
--        due ms in turns, a list of their records, one of their states (none: never failed). An id
--        without a record is not taken.
local now, now_us = clock()
if redis.call('EXISTS', KEYS[5]) == 1 then
  return { now, -1, '', 0, 0, -1 }
end
local free, suspects, suspicious = tonumber(ARGV[1]), tonumber(ARGV[4]), tonumber(ARGV[6])
local fence = tonumber(redis.call('GET', KEYS[4])) or 0
-- A number above 2^53 is not a token: it would not be exact, and the next one would not be greater.
local token = string.format('%.0f', math.max(now_us, fence < 9007199254740991 and fence + 1 or 0))
local before_due, behind_due = token .. ' ', ' ' .. now .. ' ' .. ARGV[2] .. ' ' .. ARGV[3]
local deadline, put_off = text(now + tonumber(ARGV[2])), text(now + tonumber(ARGV[5]))
local reply, found, active, leases, later, lost = { now, -1, token, 0, 0, -1 }, {}, {}, {}, {}, 0
-- Large records are read a few at a time, so that they do not fill memory before the size of the reply is
-- known.
local room, at_once, bytes, seen = tonumber(ARGV[7]), tonumber(ARGV[8]), 0, 0

for k = 6, #KEYS, 2 do
  local lease, passed = {}, 0
  while free > 0 and room > 0 and seen < 1000 do
    local n = math.min(free, at_once, 1000 - seen)
    local jobs = redis.call('ZRANGEBYSCORE', KEYS[k], '-inf', text(now), 'WITHSCORES', 'LIMIT', passed, n)
    if #jobs == 0 then
      break
    end
    local ids = {}
    for i = 1, #jobs, 2 do
      ids[#ids + 1] = jobs[i]
    end
    local records = redis.call('HMGET', KEYS[1], unpack(ids))
    local states = redis.call('HMGET', KEYS[3], unpack(ids))
    for i, id in ipairs(ids) do
      local size = #(records[i] or '') + #(states[i] or '')
      if room < size and bytes > 0 then
        room = 0
      end
      if room == 0 then
        records[i], states[i] = false, false
      else
        local crashes = states[i] and tonumber(string.match(states[i], '^%d+ %d+ (%d+)')) or 0
        passed = passed + 1
        if not records[i] then
          lost = lost + 1
        elseif crashes >= suspicious and suspects < 1 then
          push(later, KEYS[k], put_off, id)
          records[i], states[i] = false, false
        else
          if crashes >= suspicious then
            suspects = suspects - 1
          end
          lease[#lease + 1] = deadline
          lease[#lease + 1] = id
          active[#active + 1] = id
          active[#active + 1] = before_due .. jobs[2 * i] .. behind_due
          bytes, room, free = bytes + size, math.max(room - size, 0), free - 1
        end
      end
    end
    for _, part in ipairs({ (k - 4) / 2, jobs, records, states }) do
      reply[#reply + 1] = part
    end
    seen = seen + #ids
    at_once = bytes == 0 and at_once or math.max(1, math.floor(room * #active / 2 / bytes))
    if #ids < n then
      break
    end
  end
  if passed > 0 then
    found[KEYS[k]] = passed
  end
  if #lease > 0 then
    leases[KEYS[k + 1]] = lease
  end
end

if next(found) then
  expect('HLEN', 2, 2)
  expect('ZCARD', 6, #KEYS)
end
for due, n in pairs(found) do -- the jobs found are the first of their set
  redis.call('ZREMRANGEBYRANK', due, 0, n - 1)
end
each('ZADD', later)
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
reply[2], reply[4], reply[5] = next_due or -1, lost, bytes
if ARGV[9] and (not next_due or next_due > now) then
  local watcher = #active / 2 < tonumber(ARGV[12]) and ARGV[11] or '-'
  reply[6] = publish(ARGV[9], '=' .. text(next_due or -1) .. ' ' .. ARGV[10] .. watcher)
end
return reply
