#!lua
-- enqueue: a new job → scheduled | ready. The only script that stores new data, so the only one
-- that Redis refuses when its memory is full.
--
-- KEYS   1 jobs  2 kinds  3 stats  then the due set of each kind, then the idempotency key of each
--        job that has one
-- ARGV   1 atomic: "1" stores all or nothing  2 wake channel  3 ms that an idempotency key lives
--        4 number of kinds  5 number n of jobs, which stand in the order of their kinds; then
--        n times id, record; n times the delay in ms (negative: minus the due time, Unix ms); the
--        name of each kind; the number of jobs of each kind; for each idempotency key the place
--        (1…n) of its job and a hash of the request body
-- reply  now ms, then for each job that was not stored: its place (0…), and the id of the job that
--        holds its idempotency key, behind "=" (same body: a duplicate) or "!" (another body); an
--        error if a job with the id of a new one was already there
local now = clock()
local atomic, wake_channel, ttl = ARGV[1] == '1', ARGV[2], ARGV[3]
local kinds, n = tonumber(ARGV[4]), tonumber(ARGV[5])
-- Offsets in ARGV.
local jobs, delays, names = 5, 5 + 2 * n, 5 + 3 * n
local sizes, idempotency = names + kinds, names + 2 * kinds

local reply, holders, keys, refused, conflict = { now }, {}, {}, {}, false
for m = 1, #KEYS - 3 - kinds do
  local key, i, body = KEYS[3 + kinds + m], tonumber(ARGV[idempotency + 2 * m - 1]), ARGV[idempotency + 2 * m]
  local holder = holders[key] or redis.call('GET', key)
  if holder then
    local id, known_body = string.match(holder, '^(%S+) (.*)')
    local same = known_body == body
    conflict = conflict or not same
    refused[i] = true
    reply[#reply + 1] = i - 1
    reply[#reply + 1] = (same and '=' or '!') .. id
  else
    holders[key] = ARGV[jobs + 2 * i - 1] .. ' ' .. body
    keys[#keys + 1] = key
  end
end

local records, due, i = {}, {}, 0
for k = 1, kinds do
  local list = {}
  for _ = 1, tonumber(ARGV[sizes + k]) do
    i = i + 1
    if not refused[i] then
      local id, delay = ARGV[jobs + 2 * i - 1], tonumber(ARGV[delays + i])
      list[#list + 1] = delay < 0 and -delay or now + delay
      list[#list + 1] = id
      records[#records + 1] = id
      records[#records + 1] = ARGV[jobs + 2 * i]
    end
  end
  if #list > 0 then
    due[KEYS[3 + k]] = list
  end
end
if #records == 0 or (atomic and conflict) then
  return reply
end

expect('HLEN', 1, 1)
expect('SCARD', 2, 2)
expect('HLEN', 3, 3)
expect('ZCARD', 4, 3 + kinds)
local new = redis.call('HSET', KEYS[1], unpack(records))
for _, key in ipairs(keys) do
  redis.call('SET', key, holders[key], 'PX', ttl)
end
redis.call('SADD', KEYS[2], unpack(ARGV, names + 1, names + kinds))
put_due(due, wake_channel)
count(KEYS[3], now, 'enqueued', #records / 2)
if new < #records / 2 then
  return redis.error_reply('ERR two jobs have the same id, and the later one has replaced the earlier one')
end
return reply
