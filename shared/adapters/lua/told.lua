--[[ Drop endings that Kafka has acknowledged.
  KEYS  1 epoch   2 endings (hash)
  ARGV  1 epoch   2.. ids
  Returns how many were there. ]]
return redis.call('HDEL', KEYS[2], unpack(ARGV, 2))
