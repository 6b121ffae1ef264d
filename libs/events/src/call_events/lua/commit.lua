#!lua
-- move the cursor, write the receipts, go on or let go: one atom
-- KEYS 1 call stream  2 group state  3 doorbell  4 wake zset  5 receipts  6 dead letters
-- ARGV 1 epoch 2 from 3 to 4 seen 5 wake at (ms) or '' 6 lease ms 7 max events 8 group 9 call 10 attempts failed or '' 11 number of receipts,
--      then per receipt: place, why it was refused or '', JSON; then the held token and later tokens
-- to: everything up to it is finished; seen: the last event the handler was given; to < seen without a wake: it goes on with the rest at once.
-- -> {1, events after seen (maybe none), last receipt} lease kept | {0, last receipt} released | {<0} fenced: nothing was changed
-- last receipt: the stream id of the last one written here, or ''
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local g = redis.call('HMGET', KEYS[2], 'cur', 'ow', 'ep')
if not g[2] or g[3] ~= ARGV[1] then return {-1} end
if tonumber(g[1] or '0') ~= tonumber(ARGV[2]) then return {-2} end
redis.call('HSET', KEYS[2], 'cur', ARGV[3])
redis.call('HDEL', KEYS[2], 'due')
if ARGV[10] == '' then redis.call('HDEL', KEYS[2], 'att') else redis.call('HSET', KEYS[2], 'att', ARGV[10]) end
local first = 12 + 3 * ARGV[11]
local last = ''
for i = 12, first - 1, 3 do
  last = redis.call('XADD', KEYS[5], '*', 'r', ARGV[i+2])
  if ARGV[i+1] ~= '' then redis.call('XADD', KEYS[6], '*', 'c', ARGV[9], 'n', ARGV[i], 'kind', 'refused', 'why', ARGV[i+1]) end
end
local ev = redis.call('XRANGE', KEYS[1], '0-'..string.format('%d', ARGV[4]+1), '+', 'COUNT', ARGV[7])
if #ev > 0 then redis.call('HSET', KEYS[2], 'dl', now + ARGV[6]) return {1, ev, last} end
if ARGV[5] == '' and tonumber(ARGV[3]) < tonumber(ARGV[4]) then redis.call('HSET', KEYS[2], 'dl', now + ARGV[6]) return {1, ev, last} end
redis.call('HDEL', KEYS[2], 'ow', 'dl', 'tok', 'wk') redis.call('ZREM', KEYS[4], ARGV[9])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[2], 'wk', ARGV[5]) redis.call('ZADD', KEYS[4], ARGV[5], ARGV[9]) end
for i = first, #ARGV, 500 do redis.call('XACK', KEYS[3], ARGV[8], unpack(ARGV, i, math.min(i + 499, #ARGV))) end   -- unpack has a limit
return {0, last}
