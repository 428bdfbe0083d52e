--[[ Fill a tenant's two buckets up to now, then take one request and its tokens if both have them.
  KEYS  1 buckets (hash: requests, tokens, at)
  ARGV  1 requests per minute   2 tokens per minute   3 tokens to take   4 tokens that must be there
  Returns {1 if taken, else 0; requests left; tokens left}. ]]
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local held = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local minutes = math.max(0, now - tonumber(held[3] or now)) / 60
local function filled(level, per_min)
  return math.min(per_min, tonumber(level or per_min) + minutes * per_min)
end
local requests = filled(held[1], tonumber(ARGV[1]))
local tokens = filled(held[2], tonumber(ARGV[2]))
local taken = 0
if requests >= 1 and tokens >= tonumber(ARGV[4]) then
  taken, requests, tokens = 1, requests - 1, tokens - tonumber(ARGV[3])
end
local left = {string.format('%.6f', requests), string.format('%.6f', tokens)}
local at = string.format('%.6f', now)
redis.call('HSET', KEYS[1], 'requests', left[1], 'tokens', left[2], 'at', at)
local debt = math.max(0, -tokens) / math.max(1, tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], math.ceil(120 + 60 * debt))
return {taken, left[1], left[2]}
