#!lua flags=no-writes
-- kind_of: the kind of a job as its record tells it, without the payload, and the kinds of the queue.
--
-- KEYS   1 jobs  2 kinds
-- ARGV   1 id
-- reply  now ms, the start of the record up to the end of its kind ("": there is no such job), then for a tag
--        the list of all kinds of the queue
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return { (clock()), '' }
end
if string.sub(record, 1, 1) ~= '{' then
  return { (clock()), string.sub(record, 1, 4), redis.call('SMEMBERS', KEYS[2]) }
end
-- A record of an earlier version begins with its kind. Any other record is returned whole.
local kind = string.match(record, '^{"kind":"[^"\\]*"')
return { (clock()), kind and kind .. '}' or record }
