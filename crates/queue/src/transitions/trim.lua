#!lua flags=allow-oom
-- trim: completed | cancelled, past its retention → gone; earlier where Redis' memory is nearly full.
-- Dead jobs are never trimmed.
--
-- KEYS   1 jobs  2 state  3 stats  then two for each kind: done, cancelled
-- ARGV   1 jobs removed per call at most  2 completed jobs kept per kind at most
--        3 minutes that counters are kept  4 percent of maxmemory beyond which memory is short
-- reply  now ms, number of jobs removed, of these the number removed before their time, maxmemory in bytes
--        (0: none, or unknown)
local now = clock()
local left, removed = tonumber(ARGV[1]), 0
expect('HLEN', 1, 3)
expect('ZCARD', 4, #KEYS)

local function remove(key, ids)
  if #ids > 0 then
    redis.call('ZREMRANGEBYRANK', key, 0, #ids - 1)
    redis.call('HDEL', KEYS[1], unpack(ids))
    redis.call('HDEL', KEYS[2], unpack(ids))
    left, removed = left - #ids, removed + #ids
  end
end

for k = 4, #KEYS do
  if left > 0 then
    remove(KEYS[k], redis.call('ZRANGEBYSCORE', KEYS[k], '-inf', now, 'LIMIT', 0, left))
  end
  local over = math.min(redis.call('ZCARD', KEYS[k]) - tonumber(ARGV[2]), left)
  if over > 0 then
    remove(KEYS[k], redis.call('ZRANGE', KEYS[k], 0, over - 1))
  end
end

-- Unknown where INFO is not permitted. The buffers of the AOF and of replicas do not count towards maxmemory.
local most = 0
local function is_short_of_memory()
  local info = redis.pcall('INFO', 'memory')
  local function bytes(name)
    return type(info) == 'string' and tonumber(string.match(info, name .. ':(%d+)')) or 0
  end
  local used = bytes('used_memory') - bytes('mem_not_counted_for_evict')
  most = bytes('maxmemory')
  return most > 0 and 100 * used > tonumber(ARGV[4]) * most
end

-- Removes a few of each set in turn, those that expire first, until memory is no longer short.
local in_time, before = removed, -1
while left > 0 and removed > before and is_short_of_memory() do
  before = removed
  for k = 4, #KEYS do
    if left > 0 then
      remove(KEYS[k], redis.call('ZRANGE', KEYS[k], 0, math.min(left, 20) - 1))
    end
  end
end

local old = math.floor(now / 60000) - tonumber(ARGV[3])
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  if (tonumber(string.match(field, '^%d+')) or 0) < old then
    redis.call('HDEL', KEYS[3], field)
  end
end
return { now, removed, removed - in_time, most }
