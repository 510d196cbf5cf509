#!lua flags=no-writes
-- may: which commands the user of this connection may send and run in scripts. It runs none of them.
--
-- KEYS   some of the queue's keys: if Redis accepts them, their names are permitted. A cluster refuses them,
--        because they are in different slots
-- ARGV   1 one of the queue's channels  2… commands that take a key first
-- reply  Redis' version, then each command that it may not send, behind "+", or that this server does not
--        have (it was renamed), behind "?"
local reply = { redis.REDIS_VERSION }
-- Newer servers refuse a wrong number of arguments like an unknown command, so fewer arguments are tried.
local function ask(name, ...)
  local args = { ... }
  for n = #args, 0, -1 do
    local known, may = pcall(redis.acl_check_cmd, name, unpack(args, 1, n))
    if known then
      reply[#reply + 1] = not may and '+' .. string.lower(name) or nil
      return
    end
  end
  reply[#reply + 1] = '?' .. string.lower(name)
end

if redis.acl_check_cmd then
  ask('EVAL', '', '1', KEYS[1])
  ask('TIME')
  ask('INFO')
  ask('PUBLISH', ARGV[1], '')
  ask('SUBSCRIBE', ARGV[1])
  for i = 2, #ARGV do
    ask(ARGV[i], KEYS[1], KEYS[1], KEYS[1])
  end
end
return reply
