#!lua
-- a worker that stops hands a call back unfinished: the lease ends now and the token looks long abandoned, so that the next reclaim takes it
-- KEYS 1 group state  2 doorbell | ARGV 1 epoch 2 group 3 worker 4 held token   -> 1 | 0 fenced
local g = redis.call('HMGET', KEYS[1], 'ow', 'ep')
if g[1] ~= ARGV[3] or g[2] ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'ow', 'dl', 'tok', 'step')
redis.call('XCLAIM', KEYS[2], ARGV[2], ARGV[3], 0, ARGV[4], 'IDLE', 1000000, 'JUSTID')
return 1
