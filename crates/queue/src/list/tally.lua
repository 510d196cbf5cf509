#!lua flags=no-writes
-- tally: the number of jobs in some sets, or in a range of their scores. A set of a wrong type has none.
--
-- KEYS   sets
-- ARGV   two for each set: lowest score, highest score (both included)
-- reply  now ms, then the number of each set
local reply = { (clock()) }
for k, key in ipairs(KEYS) do
  local low, high, n = ARGV[2 * k - 1], ARGV[2 * k]
  if low == '-inf' and high == 'inf' then
    n = redis.pcall('ZCARD', key)
  else
    n = redis.pcall('ZCOUNT', key, low, high)
  end
  reply[k + 1] = type(n) == 'number' and n or 0
end
return reply
