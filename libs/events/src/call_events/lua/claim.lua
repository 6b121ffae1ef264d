#!lua
-- take the right to drain one call | KEYS 1 call stream  2 group state  3 doorbell | ARGV 1 worker 2 lease ms 3 max events 4 group 5 token 6 call 7 ... later tokens
-- -> {epoch, cursor, events, attempts, 1 if another holder's lease ran out} | {0} nothing to do, or a person has let the rest of
--    the call go: then the cursor moves here | {-1} busy | {-2} parked | {-3} token no longer pending, or another call's
--    a second number in a refusal: the later tokens were dealt with as well
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local rung = redis.call('XCLAIM', KEYS[3], ARGV[4], ARGV[1], 0, ARGV[5])[1]
if not rung or rung[2][2] ~= ARGV[6] then return {-3} end   -- another's: a server that forgot this token may have given its id anew
local function ack(keep)   -- this token and the later ones, those that are this call's
  redis.call('XACK', KEYS[3], ARGV[4], ARGV[5])
  if #ARGV < 7 then return end
  for _, later in ipairs(redis.call('XCLAIM', KEYS[3], ARGV[4], ARGV[1], 0, unpack(ARGV, 7))) do
    if later[2][2] == ARGV[6] and later[1] ~= keep then redis.call('XACK', KEYS[3], ARGV[4], later[1]) end
  end
end
local g = redis.call('HMGET', KEYS[2], 'cur', 'ow', 'dl', 'tok', 'parked', 'due', 'att', 'over')
if g[5] then ack() return {-2, 1} end
if g[2] and tonumber(g[3]) > now and not (g[2] == ARGV[1] and g[4] == ARGV[5]) then   -- its own holder may begin anew: the answer was lost
  if g[4] ~= ARGV[5] and #redis.call('XRANGE', KEYS[3], g[4], g[4]) > 0 then   -- never ack the holder's own token, nor the only one if that is lost
    ack(g[4]) return {-1, 1} end
  return {-1} end
if g[8] then redis.call('HSET', KEYS[2], 'cur', redis.call('XLEN', KEYS[1])) ack() return {0, 1} end   -- discard.lua
local cur = tonumber(g[1] or '0')
local ev = redis.call('XRANGE', KEYS[1], '0-'..string.format('%d', cur+1), '+', 'COUNT', ARGV[3])
if #ev == 0 and not g[6] then ack() return {0, 1} end   -- nothing new and its time has not come: the wake stays
local ep = redis.call('HINCRBY', KEYS[2], 'ep', 1)
redis.call('HSET', KEYS[2], 'ow', ARGV[1], 'dl', now + ARGV[2], 'tok', ARGV[5], 'step', 0)
return {ep, cur, ev, tonumber(g[7] or '0'), (g[2] and g[2] ~= ARGV[1]) and 1 or 0}
