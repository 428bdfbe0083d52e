--[[ Take the first key that nobody holds; who holds one already keeps it.
  KEYS  1.. one for each thing to lease
  ARGV  1 holder   2 time to live, milliseconds
  Returns the index of the key, from 0; -1 when others hold them all. ]]
local free = false
for i = #KEYS, 1, -1 do
  local holder = redis.call('GET', KEYS[i])
  if holder == ARGV[1] then
    free = i
    break
  end
  if not holder then free = i end
end
if not free then return -1 end
redis.call('SET', KEYS[free], ARGV[1], 'PX', ARGV[2])
return free - 1
