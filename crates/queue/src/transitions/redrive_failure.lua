#!lua flags=allow-oom
-- redrive_failure: dead → ready, as redrive does it, for the jobs of one group of a kind, or for those in no group.
-- Looks at the dead jobs behind those that earlier calls passed over. At the last one, none of the group is left.
--
-- KEYS   1 jobs  2 state  3 stats  4 dead  5 due  6 failures
-- ARGV   1 fingerprint  2 "1": of the jobs in no group  3 jobs looked at, at most  4 wake channel
-- reply  now ms, number moved, number left. An id without a record is removed, as claim does it.
local now = clock()
expect('HLEN', 1, 3)
expect('ZCARD', 4, 5)
local dead, failures, fp, is_rest, room = KEYS[4], KEYS[6], ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
local group = group_of(failures, fp)
if is_rest and not group then
  -- Only the place where the redrive goes on: the number of these jobs is stored nowhere.
  group = { count = 0, first = '0', last = '0', from = 0, passed = '-', example = '-', builds = '-', cause = '' }
elseif not group then
  return { now, 0, 0 }
end

local first = 0
if group.passed ~= '-' and tonumber(redis.call('ZSCORE', dead, group.passed)) == group.from then
  first = redis.call('ZRANK', dead, group.passed) + 1
elseif group.from > 0 then
  first = redis.call('ZCOUNT', dead, '-inf', '(' .. text(group.from))
end
local ids = room > 0 and redis.call('ZRANGE', dead, first, first + room - 1) or {}
local due, states, taken, moved, passed = {}, {}, {}, 0, nil
for from = 1, #ids, 100 do -- states may be large
  local known = redis.call('HMGET', KEYS[2], unpack(ids, from, math.min(from + 99, #ids)))
  for i, state in ipairs(known) do
    local id, own = ids[from + i - 1], fingerprint(state)
    if own == fp or is_rest and not (own and group_of(failures, own)) then
      taken[#taken + 1] = id
      if redis.call('HEXISTS', KEYS[1], id) == 1 then
        due[#due + 1] = now
        due[#due + 1] = id
        push(states, KEYS[2], id, started_over(now, state))
        moved = moved + 1
      end
    else
      passed = id
    end
  end
end
-- At the end none of the group is left, whatever a process of an earlier release has not counted.
local is_at_the_end, left = #ids < room, group.count - #taken
if not is_at_the_end and is_rest then
  left = redis.call('ZCARD', dead) - #taken
  local values = redis.call('HGETALL', failures)
  for i = 2, #values, 2 do
    left = left - tonumber(string.match(values[i], '^%d+') or 0)
  end
end
left = is_at_the_end and 0 or math.max(left, 0)
if passed then
  group.from, group.passed = tonumber(redis.call('ZSCORE', dead, passed)), passed
end

if left == 0 then
  redis.call('HDEL', failures, fp)
elseif #ids > 0 then
  group.count = is_rest and 0 or left
  redis.call('HSET', failures, fp, group_text(group))
end
if #taken > 0 then
  redis.call('ZREM', dead, unpack(taken))
end
each('HSET', states)
if moved > 0 then
  put_due({ [KEYS[5]] = due }, ARGV[4])
end
count(KEYS[3], now, 'redriven', moved)
return { now, moved, left }
