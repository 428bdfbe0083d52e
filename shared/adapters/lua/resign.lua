--[[ Give a lease back, if the candidate still holds it.
  KEYS  1 leader
  ARGV  1 candidate
  Returns 1 if it did, else 0. ]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
