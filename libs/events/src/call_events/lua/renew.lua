#!lua
-- keep the lease of a call in hand | KEYS 1 group state  2 doorbell | ARGV 1 epoch 2 lease ms 3 group 4 worker 5 held token   -> 1 | 0 lost
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local g = redis.call('HMGET', KEYS[1], 'ow', 'ep')
if g[1] ~= ARGV[4] or g[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'dl', now + ARGV[2]) redis.call('XCLAIM', KEYS[2], ARGV[3], ARGV[4], 0, ARGV[5], 'JUSTID')
return 1
