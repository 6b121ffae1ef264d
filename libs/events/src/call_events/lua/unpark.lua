#!lua
-- resume a parked call at its cursor | KEYS 1 group state 2 doorbell 3 dead letters, or absent for no record | ARGV 1 call 2 who 3 why -> 1 | 0 was not parked
if redis.call('HDEL', KEYS[1], 'parked') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'due', 1)
if KEYS[3] then
  local at = tonumber(redis.call('HGET', KEYS[1], 'cur') or '0') + 1
  redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', at, 'kind', 'requeued', 'why', ARGV[3], 'who', ARGV[2]) end
redis.call('XADD', KEYS[2], '*', 'c', ARGV[1], 'n', 0) return 1
