#!lua flags=allow-oom
-- roll_call: the live workers, as far as the caller knows their ids, and the ids of all. It only reads, and yet does
-- not declare `no-writes`: Redis refuses it whenever it refuses a claim, and the caller learns that from the error.
--
-- KEYS   1 workers  then the registrations of the workers that the caller knows of
-- ARGV   –
-- reply  now ms, the ids of all workers, the registrations of KEYS in their order ("": it is gone)
local registrations = {}
for k = 2, #KEYS do
  registrations[k - 1] = redis.call('GET', KEYS[k]) or ''
end
return { (clock()), redis.call('ZRANGE', KEYS[1], 0, -1), registrations }
