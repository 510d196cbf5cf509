#!lua
-- enqueue: a new job → scheduled | ready. The one script that stores new data, so the one that
-- Redis refuses when its memory is full.
--
-- KEYS   1 jobs  2 kinds  3 stats  then the due set of each kind, then the idempotency keys
-- ARGV   1 atomic: "1" stores all or nothing  2 wake channel  3 ms that an idempotency key lives
--        4 number of kinds k, then their k names, then six for each job:
--        id, record, kind (1…k), delay in ms (negative: minus the due time, Unix ms),
--        idempotency key (its place behind the due sets; 0: none), hash of the request body
-- reply  now ms, then for each job that was not stored: its place (0…), and the id of the job that
--        holds its idempotency key, behind "=" (same body: a duplicate) or "!" (another body)
local now = clock()
local atomic, wake_channel, ttl, kinds = ARGV[1] == '1', ARGV[2], ARGV[3], tonumber(ARGV[4])
local reply, due, records, keys, refused = { now }, {}, {}, {}, false
local holders = {}

for i = 5 + kinds, #ARGV, 6 do
  local id, at, idem = ARGV[i], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
  local holder
  if idem > 0 then
    local key = KEYS[3 + kinds + idem]
    holder = holders[key] or redis.call('GET', key)
    if not holder then
      holders[key] = id .. ' ' .. ARGV[i + 5]
      keys[#keys + 1] = key
    end
  end
  if holder then
    local same = string.sub(holder, 24) == ARGV[i + 5]
    refused = refused or not same
    reply[#reply + 1] = (i - 5 - kinds) / 6
    reply[#reply + 1] = (same and '=' or '!') .. string.sub(holder, 1, 22)
  else
    push(due, KEYS[3 + tonumber(ARGV[i + 2])], at < 0 and -at or now + at, id)
    records[#records + 1] = id
    records[#records + 1] = ARGV[i + 1]
  end
end
if #records == 0 or (atomic and refused) then
  return reply
end

expect('HLEN', 1, 1)
expect('SCARD', 2, 2)
expect('HLEN', 3, 3)
expect('ZCARD', 4, 3 + kinds)
redis.call('HSET', KEYS[1], unpack(records))
for _, key in ipairs(keys) do
  redis.call('SET', key, holders[key], 'PX', ttl)
end
redis.call('SADD', KEYS[2], unpack(ARGV, 5, 4 + kinds))
put_due(due, wake_channel)
count(KEYS[3], now, 'enqueued', #records / 2)
return reply
