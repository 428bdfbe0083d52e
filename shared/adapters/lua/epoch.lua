--[[ Stands before every script that writes to a deadline queue: only the newest epoch may.
  KEYS  1 epoch
  ARGV  1 epoch of the caller
  Returns nothing; ends with STALE when a newer epoch has begun, with LOST when Redis knows less. ]]
local held = redis.call('GET', KEYS[1])
if held ~= ARGV[1] then
  local is_newer = tonumber(held or -1) > tonumber(ARGV[1])
  return redis.error_reply(is_newer and 'STALE epoch' or 'LOST epoch')
end
