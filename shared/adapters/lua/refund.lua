--[[ Give tokens back that were reserved and not used; a negative count takes what was used beyond.
  KEYS  1 buckets (hash)
  ARGV  1 tokens
  Returns 1 if the bucket was still known, else 0: a full one needs nothing back. ]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HINCRBYFLOAT', KEYS[1], 'tokens', ARGV[1])
return 1
