--[[ End a task once: forget what it was and its steps, keep its ending until told, remember the id.
  KEYS  1 epoch   2 facts   3 leases   4 endings (hash id -> ending)   5 ended   6 barred   7 8 9 heaps
        10.. whatever else goes with it (body, answers and bodies of its steps)
  ARGV  1 epoch   2 id   3 fence, or '' for any   4 ending   5 ticket of this act   6 seconds to remember
        7.. ids of its steps
  Returns 1 for the first caller (and its repetitions), else 0. ]]
local ended = redis.call('GET', KEYS[5])
if ended then return ended == ARGV[5] and 1 or 0 end
if ARGV[3] ~= '' then
  local lease, fence = redis.call('HGET', KEYS[3], ARGV[2]), ARGV[3] .. ' '
  if not lease or string.sub(lease, 1, #fence) ~= fence then return 0 end
elseif redis.call('HEXISTS', KEYS[2], ARGV[2]) + redis.call('EXISTS', KEYS[6]) == 0 then
  return 0
end
local ids = {ARGV[2], unpack(ARGV, 7)}
redis.call('HDEL', KEYS[2], unpack(ids))
redis.call('HDEL', KEYS[3], unpack(ids))
for i = 7, 9 do
  redis.call('ZREM', KEYS[i], unpack(ids))
end
redis.call('UNLINK', unpack(KEYS, 10))
redis.call('HSET', KEYS[4], ARGV[2], ARGV[4])
redis.call('SET', KEYS[5], ARGV[5], 'EX', ARGV[6])
return 1
