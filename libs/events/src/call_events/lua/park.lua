#!lua
-- put one call aside for one group, with commit's fence, until unpark.lua
-- KEYS 1 group state  2 doorbell  3 wake zset  4 receipts  5 dead letters
-- ARGV 1 worker 2 epoch 3 step 4 from 5 to 6 reason 7 group 8 call 9 number of receipts, then per receipt: place, why it was refused or '', JSON;
--      then the held token and later tokens                                               -> {0} parked | {<0} fenced
local g = redis.call('HMGET', KEYS[1], 'cur', 'ow', 'ep', 'step')
if g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then return {-1} end
if tonumber(g[1] or '0') ~= tonumber(ARGV[4]) then return {-2} end
if g[4] ~= ARGV[3] then return {-3} end
redis.call('HSET', KEYS[1], 'cur', ARGV[5], 'parked', ARGV[6]) redis.call('HDEL', KEYS[1], 'ow', 'dl', 'tok', 'step', 'due', 'wk', 'att')
redis.call('ZREM', KEYS[3], ARGV[8])
local first = 10 + 3 * ARGV[9]
for i = 10, first - 1, 3 do
  redis.call('XADD', KEYS[4], '*', 'r', ARGV[i+2])
  if ARGV[i+1] ~= '' then redis.call('XADD', KEYS[5], '*', 'c', ARGV[8], 'n', ARGV[i], 'kind', 'refused', 'why', ARGV[i+1]) end
end
redis.call('XADD', KEYS[5], '*', 'c', ARGV[8], 'n', ARGV[5] + 1, 'kind', 'parked', 'why', ARGV[6])
for i = first, #ARGV, 500 do redis.call('XACK', KEYS[2], ARGV[7], unpack(ARGV, i, math.min(i + 499, #ARGV))) end
return {0}
