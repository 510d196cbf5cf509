#!lua flags=no-writes
-- kind_changes: the kinds of the catalogue that changed after a generation, in the order of their changes.
--
-- KEYS   1 kinds  2 changes  3 held
-- ARGV   1 generation  2 most kinds  3 most bytes (one kind may exceed them)
-- reply  now ms, number of all kinds, 1 if further changes did not fit, the latest generation, then for each kind: its name, its generation,
--        its definition in force, the one that is held ("": none)
local most, room = tonumber(ARGV[2]), tonumber(ARGV[3])
local rows = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, most + 1)
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2] or '0'
local reply = { (clock()), redis.call('ZCARD', KEYS[2]), 0, last }
for i = 1, #rows, 2 do
  if i > 2 * most or room <= 0 then
    reply[3] = 1
    break
  end
  local definition = redis.call('HGET', KEYS[1], rows[i]) or ''
  local held = redis.call('HGET', KEYS[3], rows[i]) or ''
  room = room - #definition - #held
  reply[#reply + 1], reply[#reply + 2] = rows[i], rows[i + 1]
  reply[#reply + 1], reply[#reply + 2] = definition, held
end
return reply
