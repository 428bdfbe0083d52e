--[[ Add an event once to an open log that has room for it.
  KEYS  1 facts (hash)   2 events (stream)
  ARGV  1 event   2 most bytes of all events   3 number of the event, growing
  Returns 1 if it is there, else 0. ]]
local tenant, closed, last = unpack(redis.call('HMGET', KEYS[1], 'tenant', 'closed', 'last'))
if not tenant or closed then return 0 end
if last and tonumber(last) >= tonumber(ARGV[3]) then return 1 end
if redis.call('HINCRBY', KEYS[1], 'bytes', #ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'last', ARGV[3])
redis.call('XADD', KEYS[2], '*', 'event', ARGV[1])
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return 1
