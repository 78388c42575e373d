-- The load of the token exchange, for wrk (https://github.com/wg/wrk).
-- Arguments after "--": the folder of the keys file, or "-" for one pair; the
-- key; the secret ("-" for none).
local keys, count, requests, next = {}, 0, {}, 1

local function exchange(key, secret)
  local headers = { ["Content-Type"] = "application/json", ["X-Pulse-Key"] = key }
  if secret ~= "-" then headers["X-Pulse-Secret"] = secret end
  return wrk.format("POST", "/v1/tokens/create", headers,
    '{"room_name":"standup","participant_identity":"alice"}')
end

function init(args)
  if args[1] == "-" then
    requests[1] = exchange(args[2], args[3])
  else
    for key in io.lines(args[1]) do requests[#requests + 1] = exchange(key, "-") end
  end
  count = #requests
  math.randomseed(count)
end

function request()
  if count == 1 then return requests[1] end
  return requests[math.random(count)]
end

-- One line for the program that runs this, in microseconds and requests.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
