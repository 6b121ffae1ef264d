#!lua
-- a worker that has nothing pending leaves the group | KEYS 1 doorbell | ARGV 1 group 2 worker   -> 1 | 0 something is pending
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end   -- deleting it would lose those
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) return 1
