--[[ End a task once: forget what it was, keep its ending until it was told, remember the id.
  KEYS  1 epoch   2 facts   3 leases   4 endings (hash id -> ending)   5 body   6 ended   7 barred   8.. heaps
  ARGV  1 epoch   2 id   3 fence, or '' for any   4 ending   5 ticket of this act   6 seconds to remember
  Returns 1 for the first caller (and its repetitions), else 0. ]]
local ended = redis.call('GET', KEYS[6])
if ended then return ended == ARGV[5] and 1 or 0 end
if ARGV[3] ~= '' then
  local lease, fence = redis.call('HGET', KEYS[3], ARGV[2]), ARGV[3] .. ' '
  if not lease or string.sub(lease, 1, #fence) ~= fence then return 0 end
elseif redis.call('HEXISTS', KEYS[2], ARGV[2]) + redis.call('EXISTS', KEYS[7]) == 0 then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[3], ARGV[2])
for i = 8, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[2])
end
redis.call('UNLINK', KEYS[5])
redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
redis.call('SET', KEYS[6], ARGV[5], 'EX', ARGV[6])
return 1
