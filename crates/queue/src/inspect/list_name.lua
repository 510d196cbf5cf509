#!lua flags=allow-oom
-- list_name: adds a missing queue or kind to its catalogue, so that sweepers and counts see it again.
--
-- KEYS   1 the list: kinds (of a queue) or queues
-- ARGV   1 name
-- reply  now ms, 1 done (0: it is listed)
return { (clock()), redis.call('SADD', KEYS[1], ARGV[1]) }
