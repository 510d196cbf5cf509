-- Groups of dead jobs by cause: functions of the scripts that change dead sets or read them. scripts.rs inserts them
-- behind the preamble of these scripts, so that others do not pay for them.
--
-- The failures of a kind are a HASH fingerprint → "count first last from passed example builds error": number of dead
-- jobs; ms of the first and of the last death; where a redrive of the group goes on: behind the job `passed`, which died
-- at `from` ("0 -": at the start); the job that died last; the builds of its workers; its error. The state of a dead
-- job that a group counts ends in `,"fp":"<fingerprint>"}`. All other dead jobs are in no group.
local MOST_GROUPS, MOST_BUILDS = 998, 5
local groups, sizes, opened = {}, {}, {}

-- The fingerprint in a state, or nil.
local function fingerprint(state)
  return state and string.match(state, '^"fp":"(%x+)"}$', -24)
end

-- A group, or false.
local function group_of(key, fp)
  local known = groups[key] or {}
  groups[key] = known
  if known[fp] == nil then
    local count, first, last, from, passed, example, builds, cause =
      string.match(redis.call('HGET', key, fp) or '', '^(%d+) (%d+) (%d+) (%d+) (%S+) (%S+) (%S+) (.*)$')
    known[fp] = count and { count = tonumber(count), first = first, last = last, from = tonumber(from),
      passed = passed, example = example, builds = builds, cause = cause } or false
  end
  return known[fp]
end

local function group_text(group)
  return table.concat({ text(group.count), group.first, group.last, text(group.from), group.passed, group.example,
    group.builds, group.cause }, ' ')
end

-- The group of the cause that ARGV has from `row` on (fingerprint, build, error), with the job that dies first of those
-- in this call as its example; false if the kind has as many groups as it may have.
local function open_group(key, row, now, id)
  local fp, build = ARGV[row], ARGV[row + 1]
  local group = group_of(key, fp)
  if not group then
    sizes[key] = sizes[key] or redis.call('HLEN', key)
    if sizes[key] >= MOST_GROUPS then
      return false
    end
    sizes[key] = sizes[key] + 1
    group = { count = 0, first = text(now), from = 0, passed = '-', builds = build }
    groups[key][fp] = group
  end
  if not string.find(',' .. group.builds .. ',', ',' .. build .. ',', 1, true) then
    local _, commas = string.gsub(group.builds, ',', '')
    group.builds = (commas + 1 < MOST_BUILDS and group.builds or string.match(group.builds, ',(.*)')) .. ',' .. build
  end
  if now <= group.from then -- Redis' clock was set back
    group.from, group.passed = 0, '-'
  end
  group.last, group.example, group.cause, group.is_changed = text(now), id, ARGV[row + 2], true
  return group
end

-- Adds a job that dies now to the group of its cause. Returns the state to be stored: without the fingerprint, if no
-- group counts the job.
local function join_group(key, row, now, id, state)
  local group = opened[row]
  if group == nil then
    group = open_group(key, row, now, id)
    opened[row] = group
  end
  if not group then
    return string.sub(state, 1, -26) .. '}'
  end
  group.count = group.count + 1
  return state
end

-- Takes a job that is no longer dead out of its group. Its state may keep the fingerprint: only dead jobs are counted,
-- and a job that dies again gets a new state.
local function leave_group(key, state)
  local fp = fingerprint(state)
  local group = fp and group_of(key, fp)
  if group then
    group.count, group.is_changed = group.count - 1, true
  end
end

-- Writes the groups that have changed. A group without jobs goes.
local function write_groups()
  for key, known in pairs(groups) do
    local values, gone = {}, {}
    for fp, group in pairs(known) do
      if group and group.is_changed and group.count > 0 then
        values[#values + 1] = fp
        values[#values + 1] = group_text(group)
      elseif group and group.is_changed then
        gone[#gone + 1] = fp
      end
    end
    if #values > 0 then
      redis.call('HSET', key, unpack(values))
    end
    if #gone > 0 then
      redis.call('HDEL', key, unpack(gone))
    end
  end
end

-- Without dead jobs there are no groups, whatever a process of an earlier release has not counted.
local function forget_groups_of_none(dead, key)
  if redis.call('ZCARD', dead) == 0 then
    redis.call('DEL', key)
  end
end
