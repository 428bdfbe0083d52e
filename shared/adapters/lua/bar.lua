--[[ Remember that a task was cancelled before it came.
  KEYS  1 epoch   2 barred
  ARGV  1 epoch   2 seconds to remember
  Returns 1. ]]
redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
return 1
