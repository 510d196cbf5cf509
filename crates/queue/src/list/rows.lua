#!lua flags=no-writes
-- rows: what is stored of some jobs, of as many as fit into one reply.
--
-- KEYS   1 jobs  2 active  3 state  then sets
-- ARGV   1 bytes of the reply (it has one job at least)  2 bytes of the largest record that is returned whole
--        3 "1": only jobs with a history  then two for each job: its set in KEYS, id
-- reply  now ms, then five for each job, in their order: score ("": it has left its set, or is not asked for), bytes of
--        its record, the record or the part in front of a large payload, entry of active, entry of state
local now = clock()
local room, whole, reply = tonumber(ARGV[1]), tonumber(ARGV[2]), { now }
for a = 4, #ARGV, 2 do
  local key, id, r = KEYS[tonumber(ARGV[a])], ARGV[a + 1], #reply
  local score, record, active, state = redis.call('ZSCORE', key, id) or '', '', '', ''
  if score ~= '' then
    state = redis.call('HGET', KEYS[3], id) or ''
    if state == '' and ARGV[3] == '1' then
      score = ''
    end
  end
  local bytes = 0
  if score ~= '' then
    record, active = redis.call('HGET', KEYS[1], id) or '', redis.call('HGET', KEYS[2], id) or ''
    bytes = #record
    -- A large record takes time even if its payload is not returned.
    room = room - #state - (bytes > whole and math.ceil(bytes / 4) or bytes)
    if r > 1 and room < 0 then
      return reply
    end
    if bytes > whole then
      record = string.sub(record, 1, 1) ~= '{' and string.match(record, '^[^ ]* ') or ''
    end
  end
  reply[r + 1], reply[r + 2], reply[r + 3], reply[r + 4], reply[r + 5] = score, bytes, record, active, state
end
return reply
