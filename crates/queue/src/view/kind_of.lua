#!lua flags=no-writes
-- kind_of: the kind of a job, without its payload.
--
-- KEYS   1 jobs
-- ARGV   1 id
-- reply  now ms, JSON with the field "kind"; "" if there is no such job
local record = redis.call('HGET', KEYS[1], ARGV[1])
if not record then
  return { (clock()), '' }
end
-- A record begins with its kind. Any other record is returned whole.
local kind = string.match(record, '^{"kind":"[^"\\]*"')
return { (clock()), kind and kind .. '}' or record }
