#!lua flags=no-writes
-- kinds_named: the entries of some kinds, of those whose generation is not the known one.
--
-- KEYS   1 kinds  2 changes  3 held
-- ARGV   1 most bytes (one kind may exceed them)  2 number n, then n kinds, n known generations (0: none)
-- reply  now ms, number of kinds that were looked at, then for each that differs: place (0…), generation, its
--        definition in force, the one that is held ("": none)
local room, n = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply = { (clock()), n }
for i = 1, n do
  if room <= 0 then
    reply[2] = i - 1
    break
  end
  local kind = ARGV[2 + i]
  local generation = redis.call('ZSCORE', KEYS[2], kind) or '0'
  if tonumber(generation) ~= tonumber(ARGV[2 + n + i]) then
    local definition = redis.call('HGET', KEYS[1], kind) or ''
    local held = redis.call('HGET', KEYS[3], kind) or ''
    room = room - #definition - #held
    reply[#reply + 1], reply[#reply + 2] = i - 1, generation
    reply[#reply + 1], reply[#reply + 2] = definition, held
  end
end
return reply
