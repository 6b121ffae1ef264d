#!lua
-- a worker that stops rings anew for a doorbell of its own by which it holds no call: the others, who wait for doorbells, have it at once
-- KEYS 1 group state  2 doorbell | ARGV 1 group 2 worker 3 token 4 call   -> 1 | 0 another worker has it, or a lease stands by it
if #redis.call('XPENDING', KEYS[2], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then return 0 end
if redis.call('HGET', KEYS[1], 'tok') == ARGV[3] then return 0 end   -- that lease's only token: it must stay pending
redis.call('XADD', KEYS[2], '*', 'c', ARGV[4], 'n', 0)
redis.call('XACK', KEYS[2], ARGV[1], ARGV[3])
return 1
