#!lua
-- sweeper | KEYS 1 dedupe  2 group state  3 doorbell | ARGV 1 call   -> 1 rung | 0 nothing lost
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local tail = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '#closed')
local g = redis.call('HMGET', KEYS[2], 'cur', 'ow', 'dl', 'parked', 'due', 'wk')
if g[4] or (g[2] and tonumber(g[3]) > now) then return 0 end
if not g[5] and (tonumber(g[1] or '0') >= tail or g[6]) then return 0 end
redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', tail) return 1
