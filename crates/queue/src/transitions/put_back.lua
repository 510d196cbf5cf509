#!lua flags=allow-oom
-- put_back: active, lease run out, entry of active missing or unreadable → ready: nobody can settle such
-- a job. A member without a record, or that is not an id, is removed from its set. Nothing happens to an entry
-- that has changed since it was read, or whose lease was extended.
--
-- KEYS   1 jobs  2 active  3 state  4 stats  then two for each kind: lease, due
-- ARGV   1 wake channel  2 number n of jobs, then n ids, n kinds (1…), n entries of active as they were
--        read ("": none), n states (behind the time; "": it is not an id)
-- reply  now ms, number of jobs put back, number of ids removed
local now, n = clock(), tonumber(ARGV[2])
local entries = redis.call('HMGET', KEYS[2], unpack(ARGV, 3, 2 + n))
local leases, due, states, ended, back, gone = {}, {}, {}, {}, {}, {}
for i = 1, n do
  local id, kind, state = ARGV[2 + i], 3 + 2 * tonumber(ARGV[2 + n + i]), ARGV[2 + 3 * n + i]
  local deadline = tonumber(redis.call('ZSCORE', KEYS[kind], id))
  if deadline and deadline <= now and (entries[i] or '') == ARGV[2 + 2 * n + i] then
    push(leases, KEYS[kind], id)
    ended[#ended + 1] = id
    if state ~= '' and redis.call('HEXISTS', KEYS[1], id) == 1 then
      push(due, KEYS[kind + 1], now, id)
      push(states, KEYS[3], id, now .. ' ' .. state)
      back[#back + 1] = id
    else
      gone[#gone + 1] = id
    end
  end
end
if #ended == 0 then
  return { now, 0, 0 }
end

end_leases(ended, leases, states)
if #gone > 0 then
  redis.call('HDEL', KEYS[3], unpack(gone))
end
put_due(due, ARGV[1])
count(KEYS[4], now, 'reaped', #back)
return { now, #back, #gone }
