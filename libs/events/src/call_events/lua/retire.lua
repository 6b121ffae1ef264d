#!lua
-- let a finished call go; its name stays taken for a while | KEYS 1 call stream  2 dedupe  3 live zset  4 gone zset  5 worker lease  6.. group states, then their receipts
-- ARGV 1 call 2 grace seconds 3 number of groups 4 seconds its name stays taken   -> OK (also a second time) | OPEN | BEHIND
local now = redis.call('TIME')[1]
local last = redis.call('HGET', KEYS[2], '#closed')
if not last then return redis.call('ZSCORE', KEYS[4], ARGV[1]) and 'OK' or 'OPEN' end
for i = 6, 5 + ARGV[3] do
  local g = redis.call('HMGET', KEYS[i], 'cur', 'ow', 'parked', 'due', 'wk')
  if g[1] ~= last or g[2] or g[3] or g[4] or g[5] then return 'BEHIND' end end
for i = 1, #KEYS do if i ~= 3 and i ~= 4 then redis.call('EXPIRE', KEYS[i], ARGV[2], 'LT') end end   -- LT: a second time lengthens nothing
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[4], 'NX', now, ARGV[1])
local old = redis.call('ZRANGE', KEYS[4], '-inf', now - ARGV[4], 'BYSCORE', 'LIMIT', 0, 100)   -- more go than come, and no turn is long
if #old > 0 then redis.call('ZREM', KEYS[4], unpack(old)) end
return 'OK'
