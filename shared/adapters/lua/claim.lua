--[[ Take a waiting task out of its heap and lease it under a new fence.
  KEYS  1 epoch   2 fence (counter)   3 leases (hash id -> lease)   4 body   5.. heaps (zset)
  ARGV  1 epoch   2 id   3 ticket of this act   4 lease without its fence, ticket first
  Returns {lease, body}; nil where the task does not wait with a body. ]]
local body = redis.call('GET', KEYS[4])
if not body then return false end
local lease = redis.call('HGET', KEYS[3], ARGV[2])
if lease then
  local is_ours = string.find(lease, ' ' .. ARGV[3] .. ' ', 1, true)
  return is_ours and {lease, body}
end
local taken = 0
for i = 5, #KEYS do
  taken = taken + redis.call('ZREM', KEYS[i], ARGV[2])
end
if taken == 0 then return false end
lease = ARGV[1] .. '.' .. redis.call('INCR', KEYS[2]) .. ' ' .. ARGV[4]
redis.call('HSET', KEYS[3], ARGV[2], lease)
return {lease, body}
