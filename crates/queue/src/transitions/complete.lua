#!lua flags=allow-oom
-- complete: active → completed, kept for its retention; with retention 0 it is removed at once.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each group of jobs that share kind and
--        retention: lease, done
-- ARGV   1 finished channel  2 number n of jobs, which stand in the order of their groups, kept
--        ones first; then n ids; n tokens; three for each group: its number of jobs, retention in ms,
--        completed jobs kept of its kind at most; the state (behind the time) of each kept job
-- reply  now ms, then for each job that is not done: its place (0…) and verdict (3 done, 0 stale,
--        2 already settled)
local now = clock()
local reply, n, places, leased = check_leases(now, 2)
if #leased == 0 then
  return reply
end
expect('HLEN', 1, 4)
expect('ZCARD', 5, #KEYS)
-- A group starts behind `group`, and a job's state is `to_state` behind its id.
local group, to_state = 2 + 2 * n, 2 * n + 3 * (#KEYS - 4) / 2
local since, room, gone, last, h = now .. ' ', 1000, {}, 2, 1

redis.call('HDEL', KEYS[2], unpack(leased))
for k = 5, #KEYS, 2 do
  local size, retention = tonumber(ARGV[group + 1]), tonumber(ARGV[group + 2])
  local most = tonumber(ARGV[group + 3])
  group = group + 3
  local first, expiry, done, states = h, text(now + retention), {}, {}
  last = last + size
  while h <= #leased and places[h] <= last do
    local id = leased[h]
    if retention > 0 then
      done[#done + 1] = expiry
      done[#done + 1] = id
      states[#states + 1] = id
      states[#states + 1] = since .. ARGV[places[h] + to_state]
    else
      gone[#gone + 1] = id
    end
    h = h + 1
  end
  if h > first then
    redis.call('ZREM', KEYS[k], unpack(leased, first, h - 1))
  end
  if #done > 0 then
    redis.call('ZADD', KEYS[k + 1], unpack(done))
    redis.call('HSET', KEYS[3], unpack(states))
    -- The oldest are removed, at most as many per call as a script may touch.
    local over = math.min(redis.call('ZCARD', KEYS[k + 1]) - most, room)
    if over > 0 then
      room = room - over
      for _, id in ipairs(redis.call('ZRANGE', KEYS[k + 1], 0, over - 1)) do
        gone[#gone + 1] = id
      end
      redis.call('ZREMRANGEBYRANK', KEYS[k + 1], 0, over - 1)
    end
  end
end
for from = 1, #gone, 1000 do
  local to = math.min(from + 999, #gone)
  redis.call('HDEL', KEYS[1], unpack(gone, from, to))
  redis.call('HDEL', KEYS[3], unpack(gone, from, to))
end
tell_ended(KEYS[4], now, ARGV[1], 'completed', leased)
return reply
