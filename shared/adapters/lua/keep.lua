--[[ A step of a chain is over: keep what it answered, and let go of the step itself.
  KEYS  1 epoch   2 facts (hash)   3 leases (hash)   4 body of the step   5 answers (hash step -> answer)
  ARGV  1 epoch   2 id of the step   3 fence   4 answer   5 answers' time to live, seconds
  Returns all answers of the chain, as id, answer, id, …; nil where this fence no longer has the step. ]]
if redis.call('HGET', KEYS[5], ARGV[2]) ~= ARGV[4] then
  local lease, fence = redis.call('HGET', KEYS[3], ARGV[2]), ARGV[3] .. ' '
  if not lease or string.sub(lease, 1, #fence) ~= fence then return false end
  redis.call('HDEL', KEYS[2], ARGV[2])
  redis.call('HDEL', KEYS[3], ARGV[2])
  redis.call('UNLINK', KEYS[4])
  redis.call('HSET', KEYS[5], ARGV[2], ARGV[4])
  redis.call('EXPIRE', KEYS[5], ARGV[5])
end
return redis.call('HGETALL', KEYS[5])
