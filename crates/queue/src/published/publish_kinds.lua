#!lua flags=allow-oom
-- publish_kinds: stores what workers say about their kinds, each kind on its own, if its entry is the one that the
-- worker has seen. A definition comes into force, or is held until an operator accepts it. `allow-oom`: the catalogue
-- is bounded, and a gateway that lacks an entry refuses the jobs of its kind.
--
-- KEYS   1 kinds  2 changes  3 held
-- ARGV   1 channel  2 most kinds  3 number n, then n kinds, n seen generations (0: none), n places ("current",
--        "accepted": in force, and nothing is held any more, "held"), n definitions
-- reply  now ms, then place (0…) and verdict of each kind that was not stored: 0 its entry is another one,
--        2 the catalogue is full
local now, micros = clock()
expect('HLEN', 1, 1)
expect('HLEN', 3, 3)
local size, n = redis.call('ZCARD', KEYS[2]), tonumber(ARGV[3])
local last = tonumber(redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]) or 0
-- A generation per kind: readers take them in pages.
local generation = math.max(last, micros)
local reply, stored = { now }, {}
for i = 1, n do
  local kind, place = ARGV[3 + i], ARGV[3 + 2 * n + i]
  local known = tonumber(redis.call('ZSCORE', KEYS[2], kind)) or 0
  local verdict = known ~= tonumber(ARGV[3 + n + i]) and 0 or known == 0 and size >= tonumber(ARGV[2]) and 2
  if verdict then
    reply[#reply + 1], reply[#reply + 2] = i - 1, verdict
  else
    size, generation = size + (known == 0 and 1 or 0), generation + 1
    redis.call('ZADD', KEYS[2], text(generation), kind)
    redis.call('HSET', KEYS[place == 'held' and 3 or 1], kind, ARGV[3 + 3 * n + i])
    if place == 'accepted' then
      redis.call('HDEL', KEYS[3], kind)
    end
    stored[1] = kind
  end
end
if stored[1] then
  publish(ARGV[1], text(generation))
end
return reply
