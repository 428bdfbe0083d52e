--[[ Keep the first value of a key for a while, and say which it is.
  KEYS  1 key
  ARGV  1 value   2 time to live, seconds
  Returns the first value. ]]
local first = redis.call('GET', KEYS[1])
if first then return first end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
