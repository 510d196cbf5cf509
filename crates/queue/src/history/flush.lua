#!lua flags=allow-oom
-- flush: adds what a process has counted in one minute to the history of a queue. A flush that was written
-- before changes nothing.
--
-- The history of a kind is a HASH of two rings: m0…m119 are minutes, f0…f863 are five minutes each. A field is
-- its bucket's number since 1970 (4 bytes), then its cells (history/cells.rs). A later bucket takes the field of
-- an earlier one, so nothing needs to be removed.
--
-- KEYS   1 kinds with a history (ZSET kind → ms at which it expires)  2 the last flush of this process
--        3 history of the kind `other`, then the history of each kind
-- ARGV   1 number of this flush  2 ms that it is remembered  3 ms that a history is kept  4 kinds that have
--        a history at most; further ones count as `other`  5 the minute, since 1970; then two for each kind:
--        its name, its cells
-- reply  now ms, 1 (0: it was written before), number of kinds counted as `other`
local now = clock()
if redis.call('GET', KEYS[2]) == ARGV[1] then
  return { now, 0, 0 }
end
local RINGS = { { 'm', 120, 1 }, { 'f', 864, 5 } } -- name, buckets, minutes of a bucket
local MOST = 1024 -- cells

-- Adds encoded cells. Malformed bytes end it.
local function add(cells, bytes, from)
  local cell, number, scale, skips = 0, 0, 1, false
  for i = from, #bytes do
    local byte = string.byte(bytes, i)
    number = number + byte % 128 * scale
    if byte >= 128 then
      scale = scale * 128
    else
      if skips then
        cell, skips = cell + number, false
      elseif number == 0 then
        skips = true
      else
        cell = cell + 1
        cells[cell] = (cells[cell] or 0) + number
        cells.last = math.max(cells.last, cell)
      end
      number, scale = 0, 1
    end
    if cell >= MOST or scale > 2 ^ 49 then
      return
    end
  end
end

local function encode(cells)
  local bytes, skipped = {}, 0
  local function put(number)
    while number >= 128 do
      bytes[#bytes + 1] = string.char(number % 128 + 128)
      number = math.floor(number / 128)
    end
    bytes[#bytes + 1] = string.char(number)
  end
  for cell = 1, cells.last do
    if not cells[cell] then
      skipped = skipped + 1
    else
      if skipped > 0 then
        put(0)
        put(skipped)
        skipped = 0
      end
      put(cells[cell])
    end
  end
  return table.concat(bytes)
end

local counted, others, room = {}, 0, tonumber(ARGV[4]) - redis.call('ZCARD', KEYS[1])
for k = 4, #KEYS do
  local key, kind = KEYS[k], ARGV[2 * k - 2]
  if not redis.call('ZSCORE', KEYS[1], kind) then
    if room > 0 then
      room = room - 1
    else
      key, kind, others = KEYS[3], 'other', others + 1
    end
  end
  push(counted, key, kind, ARGV[2 * k - 1])
end

local this_minute, written, kinds = math.floor(now / 60000), {}, {}
local minute = math.min(tonumber(ARGV[5]), this_minute)
for key, list in pairs(counted) do
  for _, ring in ipairs(RINGS) do
    local bucket, latest = math.floor(minute / ring[3]), math.floor(this_minute / ring[3])
    local field = ring[1] .. bucket % ring[2]
    local known = redis.pcall('HGET', key, field)
    -- A key of a wrong type (known is an error) holds up no other kind.
    if type(known) ~= 'table' then
      local stamp = known and #known >= 4 and struct.unpack('>I4', known) or 0
      -- A bucket in the future was written before the clock was set back.
      if stamp <= bucket or stamp > latest then
        local cells = { last = 0 }
        for i = 2, #list, 2 do
          add(cells, list[i], 1)
        end
        if stamp == bucket then
          add(cells, known, 5)
        end
        push(written, key, field, struct.pack('>I4', bucket) .. encode(cells))
      end
    end
  end
  if written[key] then
    push(kinds, KEYS[1], text(now + tonumber(ARGV[3])), list[1])
  end
end

redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
each('HSET', written)
for key in pairs(written) do
  redis.call('PEXPIRE', key, ARGV[3])
end
each('ZADD', kinds)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return { now, 1, others }
