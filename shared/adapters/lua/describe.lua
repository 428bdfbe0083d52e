--[[ Open a log, or replace the facts of one that is open.
  KEYS  1 facts (hash)
  ARGV  1 tenant   2 facts   3 time to live, seconds
  Returns 1, or 0 when it is closed already. ]]
if redis.call('HEXISTS', KEYS[1], 'closed') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'tenant', ARGV[1], 'facts', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
