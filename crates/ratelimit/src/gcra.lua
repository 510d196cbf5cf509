#!lua
-- GCRA over several windows of one client, in whole microseconds on Redis' clock. Decides how many of `count` sequential
-- requests of the same cost pass. A request passes if every window allows it; a refused request spends nothing.
--
-- KEYS   1 the client's state: the theoretical arrival time (µs) of each window, separated by spaces
-- ARGV   1 cost  2 count (0: only look)  then two per window: emission interval in µs, limit
-- reply  number of requests that pass, number of the window that refuses the next one (0: none), µs until it would not,
--        then what remains in each window
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local windows, tats = (#ARGV - 2) / 2, {}
for tat in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do
  tats[#tats + 1] = tonumber(tat)
end
local passed = count
for w = 1, windows do
  local emission, limit = tonumber(ARGV[2 * w + 1]), tonumber(ARGV[2 * w + 2])
  -- A clock that was set back must not lock a client out for longer than the window lasts.
  tats[w] = math.min(math.max(tats[w] or now, now), now + emission * limit)
  passed = math.min(passed, math.floor((now + emission * limit - tats[w]) / (emission * cost)))
end

local reply, state, last = { passed, 0, 0 }, {}, now
for w = 1, windows do
  local emission, limit = tonumber(ARGV[2 * w + 1]), tonumber(ARGV[2 * w + 2])
  tats[w] = tats[w] + emission * cost * passed
  local early = tats[w] + emission * cost - emission * limit - now
  if passed < count and early > reply[3] then
    reply[2], reply[3] = w, early
  end
  reply[w + 3] = math.floor((now + emission * limit - tats[w]) / emission)
  state[w], last = string.format('%.0f', tats[w]), math.max(last, tats[w])
end
if passed > 0 then
  redis.call('SET', KEYS[1], table.concat(state, ' '), 'PX', math.ceil((last - now) / 1000))
end
return reply
