#!lua
-- move the cursor, write the receipts, go on or let go: one atom
-- KEYS 1 call stream  2 group state  3 doorbell  4 wake zset  5 receipts  6 dead letters
-- ARGV 1 worker 2 epoch 3 step 4 from 5 to 6 seen 7 wake at (ms) or '' 8 lease ms 9 max events 10 group 11 call 12 attempts failed or ''
--      13 number of receipts, then per receipt: place, why it was refused or '', JSON; then the held token and later tokens
-- step: commits of this claim so far. to: everything up to it is finished; seen: the last event the handler was given; to < seen without a wake:
-- it goes on with the rest at once.
-- -> {1, events after seen (maybe none), last receipt} lease kept | {0, last receipt} released | {<0} fenced: nothing was changed
-- last receipt: the stream id of the last one written here, or ''
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local g = redis.call('HMGET', KEYS[2], 'cur', 'ow', 'ep', 'step')
if g[2] ~= ARGV[1] or g[3] ~= ARGV[2] then return {-1} end
if tonumber(g[1] or '0') ~= tonumber(ARGV[4]) then return {-2} end
if g[4] ~= ARGV[3] then return {-3} end
redis.call('HSET', KEYS[2], 'cur', ARGV[5], 'step', ARGV[3] + 1)
redis.call('HDEL', KEYS[2], 'due')
if ARGV[12] == '' then redis.call('HDEL', KEYS[2], 'att') else redis.call('HSET', KEYS[2], 'att', ARGV[12]) end
local first = 14 + 3 * ARGV[13]
local last = ''
for i = 14, first - 1, 3 do
  last = redis.call('XADD', KEYS[5], '*', 'r', ARGV[i+2])
  if ARGV[i+1] ~= '' then redis.call('XADD', KEYS[6], '*', 'c', ARGV[11], 'n', ARGV[i], 'kind', 'refused', 'why', ARGV[i+1]) end
end
local ev = redis.call('XRANGE', KEYS[1], '0-'..string.format('%d', ARGV[6]+1), '+', 'COUNT', ARGV[9])
if #ev > 0 then redis.call('HSET', KEYS[2], 'dl', now + ARGV[8]) return {1, ev, last} end
if ARGV[7] == '' and tonumber(ARGV[5]) < tonumber(ARGV[6]) then redis.call('HSET', KEYS[2], 'dl', now + ARGV[8]) return {1, ev, last} end
redis.call('HDEL', KEYS[2], 'ow', 'dl', 'tok', 'step', 'wk') redis.call('ZREM', KEYS[4], ARGV[11])
if ARGV[7] ~= '' then redis.call('HSET', KEYS[2], 'wk', ARGV[7]) redis.call('ZADD', KEYS[4], ARGV[7], ARGV[11]) end
for i = first, #ARGV, 500 do redis.call('XACK', KEYS[3], ARGV[10], unpack(ARGV, i, math.min(i + 499, #ARGV))) end   -- unpack has a limit
return {0, last}
