-- The load of the token exchange, for wrk (https://github.com/wg/wrk).
-- Arguments after "--": "-", a key and its secret ("-" for none); or a file of keys
-- and how many of them, from the first on, were asked already ("-" to draw from all).
local count, requests, asked = 0, {}, nil

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
    asked = tonumber(args[2])
  end
  count = #requests
  -- The same order in each run, but not that of the database file.
  math.randomseed(count)
  for i = count, 2, -1 do
    local j = math.random(i)
    requests[i], requests[j] = requests[j], requests[i]
  end
end

function request()
  if count == 1 then return requests[1] end
  if asked then
    asked = asked + 1
    return requests[(asked - 1) % count + 1]
  end
  return requests[math.random(count)]
end

-- One line for the program that runs this, in microseconds and requests.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
