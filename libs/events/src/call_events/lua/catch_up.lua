#!lua
-- what one worker lacks of a call it holds | KEYS 1 call stream  2 receipts | ARGV 1 first event 2 last event 3 id of the first receipt, or '-' 4 at most so many of each
-- -> {events, receipts}
return {redis.call('XRANGE', KEYS[1], '0-'..ARGV[1], '0-'..ARGV[2], 'COUNT', ARGV[4]),
        redis.call('XRANGE', KEYS[2], ARGV[3], '+', 'COUNT', ARGV[4])}
