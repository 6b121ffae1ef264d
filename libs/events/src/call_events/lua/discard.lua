#!lua
-- a person passes over what a group cannot get past; the fence: only while the call is parked, and where the person saw it
-- KEYS 1 call stream  2 group state  3 doorbell  4 receipts  5 dead letters
-- ARGV 1 call 2 event at which it is parked 3 one|rest 4 receipt, JSON 5 who 6 why
-- one: the group goes on behind that event; rest: it is given no event of this call any more, nor those still to come (claim.lua)
-- -> {1, cursor} done | {0} not parked | {-1, event at which it is parked now} | {-2, events of the call} no event stands in the way
local g = redis.call('HMGET', KEYS[2], 'cur', 'parked')
if not g[2] then return {0} end
local at, tail = tonumber(g[1] or '0') + 1, redis.call('XLEN', KEYS[1])
if at ~= tonumber(ARGV[2]) then return {-1, at} end
if ARGV[3] == 'one' and at > tail then return {-2, tail} end
redis.call('XADD', KEYS[4], '*', 'r', ARGV[4])
redis.call('XADD', KEYS[5], '*', 'c', ARGV[1], 'n', at, 'kind', 'discarded', 'why', ARGV[6], 'who', ARGV[5], 'what', ARGV[3])
redis.call('HDEL', KEYS[2], 'parked')
if ARGV[3] == 'rest' then redis.call('HSET', KEYS[2], 'cur', tail, 'over', 1) return {1, tail} end
redis.call('HSET', KEYS[2], 'cur', at, 'due', 1)
redis.call('XADD', KEYS[3], '*', 'c', ARGV[1], 'n', 0) return {1, at}
