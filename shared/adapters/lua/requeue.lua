--[[ Give a leased task back to its heap, with new facts.
  KEYS  1 epoch   2 heap (zset)   3 facts (hash)   4 leases (hash)   5 body
  ARGV  1 epoch   2 id   3 fence   4 deadline   5 facts   6 body's time to live, seconds
  Returns 1 if it waits again, 0 if the lease is gone or has another fence. ]]
local lease = redis.call('HGET', KEYS[4], ARGV[2])
if not lease then
  return redis.call('HGET', KEYS[3], ARGV[2]) == ARGV[5] and 1 or 0
end
local fence = ARGV[3] .. ' '
if string.sub(lease, 1, #fence) ~= fence then return 0 end
redis.call('HDEL', KEYS[4], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[2])
redis.call('EXPIRE', KEYS[5], ARGV[6])
return 1
