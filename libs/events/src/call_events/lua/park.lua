#!lua
-- put one call aside for one group, with commit's fence, until unpark.lua
-- KEYS 1 group state  2 doorbell  3 wake zset  4 receipts  5 dead letters
-- ARGV 1 epoch 2 from 3 to 4 reason 5 group 6 call 7 number of receipts, then per receipt: place, why it was refused or '', JSON;
--      then the held token and later tokens                                               -> {0} parked | {<0} fenced
local g = redis.call('HMGET', KEYS[1], 'cur', 'ow', 'ep')
if not g[2] or g[3] ~= ARGV[1] then return {-1} end
if tonumber(g[1] or '0') ~= tonumber(ARGV[2]) then return {-2} end
redis.call('HSET', KEYS[1], 'cur', ARGV[3], 'parked', ARGV[4]) redis.call('HDEL', KEYS[1], 'ow', 'dl', 'tok', 'due', 'wk', 'att')
redis.call('ZREM', KEYS[3], ARGV[6])
local first = 8 + 3 * ARGV[7]
for i = 8, first - 1, 3 do
  redis.call('XADD', KEYS[4], '*', 'r', ARGV[i+2])
  if ARGV[i+1] ~= '' then redis.call('XADD', KEYS[5], '*', 'c', ARGV[6], 'n', ARGV[i], 'kind', 'refused', 'why', ARGV[i+1]) end
end
redis.call('XADD', KEYS[5], '*', 'c', ARGV[6], 'n', ARGV[3] + 1, 'kind', 'parked', 'why', ARGV[4])
for i = first, #ARGV, 500 do redis.call('XACK', KEYS[2], ARGV[5], unpack(ARGV, i, math.min(i + 499, #ARGV))) end
return {0}
