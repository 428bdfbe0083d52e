--[[ Queue a task once. The same act repeated (same ticket in the facts) gets the same answer.
  KEYS  1 epoch   2 heap (zset id -> deadline)   3 facts (hash id -> task)   4 body   5 ended   6 barred
  ARGV  1 epoch   2 id   3 deadline   4 facts   5 body   6 body's time to live, seconds
  Returns 'queued', 'known' (queued, running or ended already) or 'cancelled' (barred). ]]
local known = redis.call('HGET', KEYS[3], ARGV[2])
if known == ARGV[4] then return 'queued' end
if known or redis.call('EXISTS', KEYS[5]) == 1 then return 'known' end
if redis.call('EXISTS', KEYS[6]) == 1 then return 'cancelled' end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6])
return 'queued'
