#!lua
-- take the right to drain one call | KEYS 1 call stream  2 group state  3 doorbell | ARGV 1 worker 2 lease ms 3 max events 4 group 5 token
-- -> {epoch, cursor, events, attempts} | {0} nothing to do, or a person has let the rest of the call go: then the cursor moves here | {-1} busy | {-2} parked | {-3} token no longer pending
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
if #redis.call('XCLAIM', KEYS[3], ARGV[4], ARGV[1], 0, ARGV[5], 'JUSTID') == 0 then return {-3} end
local g = redis.call('HMGET', KEYS[2], 'cur', 'ow', 'dl', 'tok', 'parked', 'due', 'att', 'over')
if g[5] then redis.call('XACK', KEYS[3], ARGV[4], ARGV[5]) return {-2} end
if g[2] and tonumber(g[3]) > now then
  if g[4] ~= ARGV[5] then redis.call('XACK', KEYS[3], ARGV[4], ARGV[5]) end   -- never ack the holder's own token
  return {-1} end
if g[8] then redis.call('HSET', KEYS[2], 'cur', redis.call('XLEN', KEYS[1])) redis.call('XACK', KEYS[3], ARGV[4], ARGV[5]) return {0} end   -- discard.lua
local cur = tonumber(g[1] or '0')
local ev = redis.call('XRANGE', KEYS[1], '0-'..string.format('%d', cur+1), '+', 'COUNT', ARGV[3])
if #ev == 0 and not g[6] then redis.call('XACK', KEYS[3], ARGV[4], ARGV[5]) return {0} end   -- nothing new and its time has not come: the wake stays
local ep = redis.call('HINCRBY', KEYS[2], 'ep', 1)
redis.call('HSET', KEYS[2], 'ow', ARGV[1], 'dl', now + ARGV[2], 'tok', ARGV[5])
return {ep, cur, ev, tonumber(g[7] or '0')}
