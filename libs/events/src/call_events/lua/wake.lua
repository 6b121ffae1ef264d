#!lua
-- ring for one due call | KEYS 1 wake zset  2 group state  3 doorbell | ARGV 1 call   -> 1 rung | 0 not due
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local s = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not s or tonumber(s) > now then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], 'wk') redis.call('HSET', KEYS[2], 'due', 1)
redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', 0) return 1
