#!lua
-- let a finished call go | KEYS 1 call stream  2 dedupe  3 live zset  4 worker lease  5.. group states, then their receipts | ARGV 1 call 2 grace seconds 3 number of groups
local last = redis.call('HGET', KEYS[2], '#closed')
if not last then return 'OPEN' end
for i = 5, 4 + ARGV[3] do
  local g = redis.call('HMGET', KEYS[i], 'cur', 'ow', 'parked', 'due', 'wk')
  if g[1] ~= last or g[2] or g[3] or g[4] or g[5] then return 'BEHIND' end end
for i = 1, #KEYS do if i ~= 3 then redis.call('EXPIRE', KEYS[i], ARGV[2]) end end
redis.call('ZREM', KEYS[3], ARGV[1]) return 'OK'
