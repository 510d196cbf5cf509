#!lua flags=no-writes
-- unanswered: jobs of one kind that a worker claimed, but the answer of the claim was lost: they are leased to it,
-- and nobody runs them.
--
-- KEYS   1 active  2 lease
-- ARGV   1 worker id  2 token after which it got no answer  3 token of the next answer (inf: none yet)
--        4 deadline from which leases are looked at, ms  5 leases to skip  6 leases looked at at most
-- reply  now ms, number of leases looked at, then id and token of each such job
local reply = { (clock()), 0 }
local ids = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[4], '+inf', 'LIMIT', ARGV[5], ARGV[6])
if #ids == 0 then
  return reply
end
local entries = redis.call('HMGET', KEYS[1], unpack(ids))
for i, id in ipairs(ids) do
  local token = entries[i] and string.match(entries[i], '^%d+')
  local is_between = token and tonumber(token) > tonumber(ARGV[2]) and tonumber(token) < tonumber(ARGV[3])
  if is_between and string.find(entries[i], ARGV[1], 1, true) then
    reply[#reply + 1] = id
    reply[#reply + 1] = token
  end
end
reply[2] = #ids
return reply
