#!lua
-- GCRA over several windows of one client, in whole microseconds on Redis' clock. All windows allow
-- it, or nothing is spent.
--
-- KEYS   1 the client's state: its theoretical arrival times (µs), one a window, behind each other
-- ARGV   1 cost (0: only look)  then two for each window: emission interval in µs, limit
-- reply  number of the window that refused (0: none), µs until it would not, then what remains in
--        each window
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost = tonumber(ARGV[1])
local tats, last, refused, wait = {}, now, 0, 0
for tat in string.gmatch(redis.call('GET', KEYS[1]) or '', '%d+') do
  tats[#tats + 1] = tonumber(tat)
end
for w = 1, (#ARGV - 1) / 2 do
  local emission, limit = tonumber(ARGV[2 * w]), tonumber(ARGV[2 * w + 1])
  -- A clock that was set back must not lock a client out for longer than the window is.
  tats[w] = math.min(math.max(tats[w] or now, now), now + emission * limit)
  local early = tats[w] + emission * cost - emission * limit - now
  if early > wait then
    refused, wait = w, early
  end
end
local reply = { refused, wait }
for w = 1, (#ARGV - 1) / 2 do
  local emission, limit = tonumber(ARGV[2 * w]), tonumber(ARGV[2 * w + 1])
  if refused == 0 then
    tats[w] = tats[w] + emission * cost
  end
  last = math.max(last, tats[w])
  reply[w + 2] = math.floor((now + emission * limit - tats[w]) / emission)
end
if cost > 0 and refused == 0 then
  local state = {}
  for w = 1, (#ARGV - 1) / 2 do
    state[w] = string.format('%.0f', tats[w])
  end
  redis.call('SET', KEYS[1], table.concat(state, ' '), 'PX', math.ceil((last - now) / 1000))
end
return reply
