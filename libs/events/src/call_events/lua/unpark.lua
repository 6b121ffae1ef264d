#!lua
-- resume a parked call at its cursor | KEYS 1 group state 2 doorbell | ARGV 1 call -> 1 | 0 was not parked
if redis.call('HDEL', KEYS[1], 'parked') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'due', 1)
redis.call('XADD', KEYS[2], '*', 'c', ARGV[1], 'n', 0) return 1
