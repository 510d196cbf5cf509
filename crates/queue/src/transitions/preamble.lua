-- Functions that several scripts share; scripts.rs inserts it behind the first line of each.
-- Every script reads its keys first, then decides, and writes last.

local STALE, LEASED, ALREADY, CANCEL_REQUESTED = 0, 1, 2, 3
local SPACE, EXCLAMATION = string.byte(' !', 1, 2)

-- Redis' time, the only clock: in milliseconds, and in microseconds for tokens.
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- An error does not undo earlier writes of a script. So before its first write a script reads the size (HLEN,
-- ZCARD, …) of keys that it has not read: a key of a wrong type ends it there.
local function expect(size, first, last)
  for k = first, last do
    redis.call(size, KEYS[k])
  end
end

-- For scripts whose first KEYS are jobs, active, state, and whose ARGV have from `first` on: the
-- number n of jobs, their n ids, their n tokens, then further lists of n. An entry of active is "token due
-- start lease holder", with a "!" behind the token once a cancellation was requested; an entry of state is
-- "time token crashes json", where the token is that of the settlement that wrote it (0: reap wrote it).
-- Returns the reply (now, then place, 0…, and verdict of each job whose verdict is not LEASED), n, the places in
-- ARGV of the ids whose lease the caller has, these ids, those of them with a cancellation request, and the
-- entries of active of all n. Without the lease, the verdict is ALREADY where this very token settled the job
-- before (or the job has finished and is gone), and STALE where the lease went to another worker.
local function check_leases(now, first)
  local n, reply, places, leased, to_cancel, seen = tonumber(ARGV[first]), { now }, {}, {}, {}, {}
  local entries = redis.call('HMGET', KEYS[2], unpack(ARGV, first + 1, first + n))
  for i = 1, n do
    local id, token, entry, verdict = ARGV[first + i], ARGV[first + n + i], entries[i] or '', STALE
    local mark = string.sub(entry, 1, #token) == token and string.byte(entry, #token + 1)
    if mark == SPACE or mark == EXCLAMATION then
      verdict = seen[id] and ALREADY or mark == SPACE and LEASED or CANCEL_REQUESTED
      if not seen[id] then
        seen[id], places[#places + 1], leased[#leased + 1] = true, first + i, id
        to_cancel[id] = mark == EXCLAMATION or nil
      end
    else
      local known = redis.call('HGET', KEYS[3], id)
      if known and string.match(known, '^%d+ (%d+)') == token then
        verdict = ALREADY
      elseif redis.call('HEXISTS', KEYS[1], id) == 0 then
        verdict = ALREADY
      end
    end
    if verdict ~= LEASED then
      reply[#reply + 1], reply[#reply + 2] = i - 1, verdict
    end
  end
  return reply, n, places, leased, to_cancel, entries
end

-- A message is a hint: for a user without PUBLISH the call succeeds and its writes stay.
-- Returns the number of clients that received it; -1 where it could not be published.
local function publish(channel, message)
  return tonumber(redis.pcall('PUBLISH', channel, message)) or -1
end

-- Appends to the list under `key`: one command per key, instead of one per id.
local function push(lists, key, a, b)
  local list = lists[key] or {}
  lists[key] = list
  list[#list + 1] = a
  list[#list + 1] = b
end

local function each(command, lists)
  for key, list in pairs(lists) do
    redis.call(command, key, unpack(list))
  end
end

-- Ends the leases of these ids. It must be the first write of a script. KEYS are jobs, active, state, stats, then only
-- sets, up to KEYS[last] (all of them unless given). `leases` and `states` are lists as `push` makes them.
local function end_leases(ids, leases, states, last)
  expect('HLEN', 1, 4)
  expect('ZCARD', 5, last or #KEYS)
  redis.call('HDEL', KEYS[2], unpack(ids))
  each('ZREM', leases)
  each('HSET', states)
end

-- An instant as an argument. Redis before 7.2 takes half a microsecond for each number that a
-- script passes to a command; the jobs of a call often share a score.
local texts = {}
local function text(at)
  local known = texts[at]
  if not known then
    known = string.format('%.0f', at)
    texts[at] = known
  end
  return known
end

-- ZADDs waiting jobs, given as lists of due time and id; where that makes a kind's earliest due
-- time earlier, one message per call tells sleeping workers.
local function put_due(due, wake_channel)
  local wake
  for key, list in pairs(due) do
    local earliest = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]) or math.huge
    for i = 1, #list, 2 do
      local at = list[i]
      list[i] = text(at)
      if at < earliest then
        wake, earliest = math.min(wake or at, at), at
      end
    end
    redis.call('ZADD', key, unpack(list))
  end
  if wake then
    publish(wake_channel, text(wake))
  end
end

-- One HINCRBY per batch: "<minute> <name>".
local function count(stats, now, name, n)
  if n > 0 then
    redis.call('HINCRBY', stats, math.floor(now / 60000) .. ' ' .. name, n)
  end
end

-- Counts jobs that have ended, and publishes their ids to waiting clients.
local function tell_ended(stats, now, finished_channel, name, ids)
  if #ids > 0 then
    count(stats, now, name, #ids)
    publish(finished_channel, table.concat(ids, ' '))
  end
end

-- For scripts that operate on one job:
-- KEYS 1 jobs 2 active 3 state 4 stats 5 due 6 lease 7 done 8 cancelled 9 dead, ARGV[1] the id.
-- Returns its place (in KEYS; 0: nowhere), its score there, and whether it is elsewhere than `at` says: at this score,
-- or at any score of a lease if that is 'lease', because leases are extended all the time.
local DUE, LEASE, DONE, CANCELLED, DEAD = 5, 6, 7, 8, 9
local function find(id, at)
  expect('HLEN', 1, 4)
  expect('ZCARD', 5, 9)
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    for k = DUE, DEAD do
      local score = redis.call('ZSCORE', KEYS[k], id)
      if score then
        score = tonumber(score)
        local is_there = at == 'lease' and k == LEASE or k ~= LEASE and tonumber(at) == score
        return k, score, at and not is_there
      end
    end
  end
  return 0, 0
end

-- An entry of state (or none) with another time.
local function at_time(now, known)
  return now .. ' ' .. (string.match(known or '', '^%d+ (.*)') or '0 0 {}')
end

-- An entry of state (or none) of a job that starts over: its failures stay visible, and the mark in front of
-- them says that they no longer count.
local function started_over(now, known)
  local token, history = string.match(known or '', '^%d+ (%d+) %d+ %*?(.*)')
  return now .. ' ' .. (token or 0) .. ' 0 *' .. (history or '{}')
end
