--[[ Begin an epoch: from here on, writes of older ones fail.
  KEYS  1 epoch
  ARGV  1 epoch
  Returns 1, or 0 when a newer one has begun. ]]
local held = redis.call('GET', KEYS[1])
if held and tonumber(held) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1
