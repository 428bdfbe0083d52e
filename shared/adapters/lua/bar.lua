--[[ Remember that a task was cancelled before it came.
  KEYS  1 epoch   2 barred
  ARGV  1 epoch   2 seconds to remember
  Returns 1. ]]
-- A script that has begun to write may go on where memory is full: what frees it cannot wait for it.
redis.call('UNLINK', KEYS[2])
redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])
return 1
