--[[ End an open log, after one last event that is always taken.
  KEYS  1 facts (hash)   2 events (stream)
  ARGV  1 last event, or ''   2 time to live from here on, seconds
  Returns 1 if this ended it, else 0. ]]
local tenant, closed = unpack(redis.call('HMGET', KEYS[1], 'tenant', 'closed'))
if not tenant or closed then return 0 end
if ARGV[1] ~= '' then redis.call('XADD', KEYS[2], '*', 'event', ARGV[1]) end
redis.call('XADD', KEYS[2], '*', 'end', '1')
redis.call('HSET', KEYS[1], 'closed', '1')
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
