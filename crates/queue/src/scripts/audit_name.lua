#!lua flags=no-writes
-- audit_name: whether a name is missing where names are listed, while keys of it exist.
--
-- KEYS   1 the list: kinds (of a queue) or queues  then keys of that name
-- ARGV   1 name
-- reply  now ms, 1 missing (0: listed, or none of the keys exists)
local missing = redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 and redis.call('EXISTS', unpack(KEYS, 2)) > 0
return { (clock()), missing and 1 or 0 }
