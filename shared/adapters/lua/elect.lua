--[[ Take or renew a lease that one candidate holds at a time.
  KEYS  1 leader
  ARGV  1 candidate   2 time to live, milliseconds
  Returns 1 while the candidate holds it, else 0. ]]
local leader = redis.call('GET', KEYS[1])
-- Renewed without a word of memory: a Redis that is full takes nothing new, and keeps its leases.
if leader == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if leader then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
