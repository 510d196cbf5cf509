#!lua flags=no-writes
-- window: the first jobs of some sets behind a place, in the order of a list: (time, id).
--
-- The place is found by rank: ZCOUNT finds its score, a binary search its id among those that share the score. So no
-- command takes longer the more jobs there are, not even if all of them share one score. A set of a wrong type is
-- skipped.
--
-- KEYS   sets
-- ARGV   1 jobs at most  2 "asc" | "desc"  3 id of the place  then four for each set: lowest score, highest score (both
--        included), score of the place ("": the set is read from its start), score minus time
-- reply  now ms, the sets of a wrong type (1…), then three for each job: its set (1…), id, score
local most, ascending, place = tonumber(ARGV[1]), ARGV[2] == 'asc', ARGV[3]

-- Redis compares bytes. Lua's own < depends on the locale of the server.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- The number of jobs in front of the place; with the job at the place itself in ascending order.
local function passed(key, score)
  local low, high = redis.call('ZCOUNT', key, '-inf', '(' .. score), redis.call('ZCOUNT', key, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local id = redis.call('ZRANGE', key, middle, middle)[1]
    if precedes(id, place) or ascending and id == place then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- Steps to the next job of a set; false at its end. A set is read in windows that grow.
local function advance(set)
  local job = set.next
  if not set.window[job] then
    local first, last = set.rank, set.rank + set.size - 1
    if not ascending then
      first, last = math.max(set.rank - set.size + 1, 0), set.rank
    end
    set.rank = ascending and last + 1 or first - 1
    set.window = last >= 0 and redis.call('ZRANGE', set.key, first, last, 'WITHSCORES') or {}
    set.size = math.min(4 * set.size, most, 1000)
    job = ascending and 1 or #set.window - 1
  end
  set.id, set.score = set.window[job], set.window[job + 1]
  local score = tonumber(set.score)
  if not score or score < set.low or score > set.high then
    return false
  end
  set.next, set.time = job + (ascending and 2 or -2), score - set.offset
  return true
end

local function comes_first(a, b)
  if a.time ~= b.time then
    return (a.time < b.time) == ascending
  end
  return precedes(a.id, b.id) == ascending
end

-- A heap of the sets, by their next jobs.
local heap = {}
local function sink(i)
  while true do
    local first = i
    for child = 2 * i, 2 * i + 1 do
      if heap[child] and comes_first(heap[child], heap[first]) then
        first = child
      end
    end
    if first == i then
      return
    end
    heap[i], heap[first], i = heap[first], heap[i], first
  end
end

local now = clock()
local broken = {}
local reply, size = { now, broken }, math.min(math.ceil(2 * most / #KEYS), most, 1000)
for k, key in ipairs(KEYS) do
  local n = redis.pcall('ZCARD', key)
  if type(n) ~= 'number' then
    broken[#broken + 1] = k
  elseif n > 0 then
    local low, high, score, offset = unpack(ARGV, 4 * k, 4 * k + 3)
    local rank = ascending and 0 or n - 1
    if score ~= '' then
      rank = passed(key, score) - (ascending and 0 or 1)
    elseif ascending and low ~= '-inf' then
      rank = redis.call('ZCOUNT', key, '-inf', '(' .. low)
    elseif not ascending and high ~= 'inf' then
      rank = redis.call('ZCOUNT', key, '-inf', high) - 1
    end
    local set = { k = k, key = key, rank = rank, size = size, window = {}, next = 0, offset = tonumber(offset) }
    set.low, set.high = tonumber(low) or -math.huge, tonumber(high) or math.huge
    if advance(set) then
      heap[#heap + 1] = set
    end
  end
end
for i = math.floor(#heap / 2), 1, -1 do
  sink(i)
end
while heap[1] and most > 0 do
  local set, r = heap[1], #reply
  reply[r + 1], reply[r + 2], reply[r + 3] = set.k, set.id, set.score
  most = most - 1
  if not advance(set) then
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  sink(1)
end
return reply
