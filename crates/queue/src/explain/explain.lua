#!lua flags=no-writes
-- explain: one job, and what a claim of it depends on in its queue.
--
-- KEYS   1 jobs  2 active  3 state  4 kinds  5 paused  then five for each kind: due, lease, done, cancelled, dead
-- ARGV   1 id  2 active jobs looked at at most  3 crashes that make a suspect  4 number of kinds of the queue as the
--        caller knows it (-1: it does not matter)  then the tag of each kind
-- reply  now ms, record without its payload (whole if an earlier version wrote it; "": there is no such job), then
--        either "-" (it is in no set of these kinds, or the queue has more kinds) and all kinds of the queue, or: its
--        set (0 due, …, 4 dead), place of its kind (1…), its score, entry of active, state, number of jobs of its kind
--        that are due before it, ms since which the queue is paused (-1: it is not), then for a waiting job four for
--        each group of active jobs that share holder and kind: holder, place of the kind, number of jobs, number of
--        suspects among them (0 unless the waiting job is one)
local now, id = clock(), ARGV[1]
local record = redis.call('HGET', KEYS[1], id)
if not record then
  return { now, '' }
end
local is_old, tag, set, kind, score = string.sub(record, 1, 1) == '{', string.sub(record, 1, 4)
for k = 1, #ARGV - 4 do
  for s = 0, (is_old or ARGV[k + 4] == tag) and 4 or -1 do
    score = score or redis.call('ZSCORE', KEYS[5 * k + 1 + s], id)
    set, kind = set or score and s, kind or score and k
  end
end
local head = is_old and record or string.match(record, '^[^ ]*')
local known = tonumber(ARGV[4])
if not score or known >= 0 and known ~= redis.call('SCARD', KEYS[4]) then
  return { now, head, '-', redis.call('SMEMBERS', KEYS[4]) }
end

local state = redis.call('HGET', KEYS[3], id) or ''
local reply = { now, head, set, kind, score, redis.call('HGET', KEYS[2], id) or '', state, 0,
  tonumber(redis.call('GET', KEYS[5])) or -1 }
if set > 0 then
  return reply
end
reply[8] = redis.call('ZCOUNT', KEYS[5 * kind + 1], '-inf', '(' .. score)

local suspicious, room = tonumber(ARGV[3]), tonumber(ARGV[2])
local function is_suspect(entry)
  return (tonumber(string.match(entry or '', '^%d+ %d+ (%d+)')) or 0) >= suspicious
end
local counts_suspects = is_suspect(state)
for k = 1, #ARGV - 4 do
  local ids = room > 0 and redis.call('ZRANGE', KEYS[5 * k + 2], 0, room - 1) or {}
  room = room - #ids
  local entries = #ids > 0 and redis.call('HMGET', KEYS[2], unpack(ids)) or {}
  local states = #ids > 0 and counts_suspects and redis.call('HMGET', KEYS[3], unpack(ids)) or {}
  local groups = {}
  for i = 1, #ids do
    local holder = string.match(entries[i] or '', '^%S+ %S+ %S+ %S+ (.*)$') or ''
    local group = groups[holder]
    if not group then
      group = #reply
      groups[holder] = group
      reply[group + 1], reply[group + 2], reply[group + 3], reply[group + 4] = holder, k, 0, 0
    end
    reply[group + 3] = reply[group + 3] + 1
    reply[group + 4] = reply[group + 4] + (is_suspect(states[i]) and 1 or 0)
  end
end
return reply
