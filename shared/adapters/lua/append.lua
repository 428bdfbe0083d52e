--[[ Add an event to an open log that has room for it.
  KEYS  1 facts (hash)   2 events (stream)
  ARGV  1 event   2 most bytes of all events
  Returns 1 if it was added, else 0. ]]
local tenant, closed = unpack(redis.call('HMGET', KEYS[1], 'tenant', 'closed'))
if not tenant or closed then return 0 end
if redis.call('HINCRBY', KEYS[1], 'bytes', #ARGV[1]) > tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[2], '*', 'event', ARGV[1])
redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
return 1
