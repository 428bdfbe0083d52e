--[[ Lease a task to the worker that runs it already, wherever it lies, unless a newer fence has it.
  KEYS  1 epoch   2 facts (hash)   3 leases (hash)   4 body   5 ended   6.. heaps (zset)
  ARGV  1 epoch   2 id   3 facts   4 lease, fence first   5 body   6 body's time to live, seconds
  Returns 1 if this fence has it now, 0 if it ended or a newer one has it. ]]
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
local function fence_of(lease)
  local epoch, number = string.match(lease, '^(%-?%d+)%.(%d+) ')
  return tonumber(epoch), tonumber(number)
end
local held = redis.call('HGET', KEYS[3], ARGV[2])
if held then
  local epoch, number = fence_of(ARGV[4])
  local held_epoch, held_number = fence_of(held)
  if held_epoch > epoch or (held_epoch == epoch and held_number > number) then return 0 end
end
for i = 6, #KEYS do
  redis.call('ZREM', KEYS[i], ARGV[2])
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[6])
return 1
