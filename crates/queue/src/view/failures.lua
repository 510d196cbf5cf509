#!lua flags=no-writes
-- failures: the groups of a kind's dead jobs, and another example for each group whose own is no longer dead. It is
-- looked for at both ends of the dead set.
--
-- KEYS   1 state  2 dead  3 failures
-- ARGV   1 jobs looked at, at each end
-- reply  now ms, number of dead jobs, fingerprint and value of each group as a flat list, then three for each such group:
--        fingerprint ("": of the jobs in no group), id ("": none was found), state
local dead, values = redis.call('ZCARD', KEYS[2]), redis.call('HGETALL', KEYS[3])
local reply, known, wanted, missing, rest = { (clock()), dead, values }, {}, {}, 0, dead
for i = 1, #values, 2 do
  local number, last, example = string.match(values[i + 1], '^(%d+) %d+ (%d+) %d+ %S+ (%S+)')
  known[values[i]], rest = true, rest - tonumber(number or 0)
  if number and number ~= '0' and redis.call('ZSCORE', KEYS[2], example) ~= last then
    wanted[values[i]], missing = true, missing + 1
  end
end
if rest > 0 then
  wanted[''], missing = true, missing + 1
end

local most = missing > 0 and math.min(tonumber(ARGV[1]), dead) or 0
for _, range in ipairs({ { 0, most - 1 }, { -most, -1 } }) do
  for _, id in ipairs(most > 0 and redis.call('ZRANGE', KEYS[2], range[1], range[2]) or {}) do
    local state = missing > 0 and redis.call('HGET', KEYS[1], id)
    local fp = fingerprint(state) or ''
    fp = known[fp] and fp or ''
    if missing > 0 and wanted[fp] then
      wanted[fp], missing = nil, missing - 1
      for _, part in ipairs({ fp, id, state or '' }) do
        reply[#reply + 1] = part
      end
    end
  end
end
for fp in pairs(wanted) do
  for _, part in ipairs({ fp, '', '' }) do
    reply[#reply + 1] = part
  end
end
return reply
