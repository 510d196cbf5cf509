#!lua flags=allow-oom
-- set_aside: renames a key of a wrong type, so that a new one can take its place and nothing is destroyed.
--
-- KEYS   1 the key  2 its new name
-- ARGV   1 the type that it should have
-- reply  now ms, 1 done (0: it has that type, or does not exist, or the new name is taken)
local now = clock()
local found = redis.call('TYPE', KEYS[1]).ok
if found == 'none' or found == ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return { now, 0 }
end
redis.call('RENAME', KEYS[1], KEYS[2])
return { now, 1 }
