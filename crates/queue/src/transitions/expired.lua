#!lua flags=allow-oom
-- expired: the jobs whose lease ran out, for `reap` to recover. A deadline further away than its
-- own lease is long (Redis' clock was set back) is cut to that length here; if its own
-- length is unknown, to that of the caller's lease.
--
-- KEYS   1 active  2 state  then the lease set of each kind
-- ARGV   1 jobs looked at of a kind at most  2 ms ahead from which a deadline is suspicious: the caller's lease
--        3 bytes of entries and states in the reply: at least one job is returned
-- reply  now ms, then four for each job: kind (1…), id, entry of active ("": none), state ("": none)
local now = clock()
local reply, cut, room = { now }, {}, tonumber(ARGV[3])
for k = 3, #KEYS do
  local ids = room > 0 and redis.call('ZRANGEBYSCORE', KEYS[k], '-inf', now, 'LIMIT', 0, ARGV[1]) or {}
  if #ids > 0 then
    local entries = redis.call('HMGET', KEYS[1], unpack(ids))
    local states = redis.call('HMGET', KEYS[2], unpack(ids))
    for i, id in ipairs(ids) do
      if room <= 0 then
        break
      end
      room = room - #(entries[i] or '') - #(states[i] or '')
      local n = #reply
      reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = k - 2, id, entries[i] or '', states[i] or ''
    end
  end
  local far = '(' .. now + tonumber(ARGV[2])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[k], far, '+inf', 'LIMIT', 0, ARGV[1])) do
    local entry = redis.call('HGET', KEYS[1], id)
    local lease = entry and tonumber(string.match(entry, '^%d+!? %d+ %d+ (%d+)')) or tonumber(ARGV[2])
    if tonumber(redis.call('ZSCORE', KEYS[k], id)) > now + lease then
      push(cut, KEYS[k], now + lease, id)
    end
  end
end
each('ZADD', cut)
return reply
