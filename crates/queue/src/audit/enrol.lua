#!lua flags=allow-oom
-- enrol: lists a name of which there are keys, so that those who go by the list find them.
--
-- KEYS   1 the list: kinds (of a queue) or queues
-- ARGV   1 name
-- reply  now ms, 1 done (0: it is listed)
return { (clock()), redis.call('SADD', KEYS[1], ARGV[1]) }
