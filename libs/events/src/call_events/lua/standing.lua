#!lua flags=no-writes
-- how some calls of one shard stand; reads only, and so few at a time that nobody waits for it
-- KEYS per call: dedupe, call stream, then one state per group | ARGV 1 number of groups 2 events from which a call is told though nothing is open
-- -> {now (ms), calls that have ended, rows}
-- row: {which call of KEYS, events, ended, {which group, cursor, parked, worker, lease left (ms), epoch, attempts, wake at (ms), type, time of the event after the cursor} …}
-- A group is told where it has not finished the call, holds it or has parked it. Of the event only its kind and its time leave the server.
local t = redis.call('TIME') local now = t[1]*1000 + math.floor(t[2]/1000)
local groups, least, ended, rows = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, {}
local step = 2 + groups
for i = 1, #KEYS, step do
  local closed, tail = redis.call('HEXISTS', KEYS[i], '#closed'), redis.call('XLEN', KEYS[i+1])
  ended = ended + closed
  local row = {(i - 1) / step, tail, closed}
  for n = 1, groups do
    local g = redis.call('HMGET', KEYS[i+1+n], 'cur', 'parked', 'ow', 'dl', 'ep', 'att', 'wk')
    local cur = tonumber(g[1] or '0')
    local left = g[3] and tonumber(g[4]) - now or 0
    if cur < tail or g[2] or left > 0 then
      local kind, at = '', ''
      if cur < tail then
        local e = redis.call('XRANGE', KEYS[i+1], '0-'..string.format('%d', cur+1), '+', 'COUNT', 1)[1]
        local json = e and e[2][2] or ''
        kind, at = string.match(json, '"type":"([^"\\]*)"') or '', string.match(json, '"time":"([^"\\]*)"') or ''   -- of the frame, which comes before the data
      end
      row[#row+1] = {n - 1, cur, g[2] or '', g[3] or '', left, g[5] or '', g[6] or '', g[7] or '', kind, at}
    end
  end
  if #row > 3 or tail >= least then rows[#rows+1] = row end
end
return {now, ended, rows}
