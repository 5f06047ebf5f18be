-- wrk script: GET requests of the paths of a file, one after the other, over and over.
-- Arguments after `--`: the token, the file with a path (and query) on each line.
-- The text of every request is made at the start, so that wrk costs little of the cores it shares.
dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "") .. "summary.lua")

local requests, request_count, counter
local thread_count = 0

function setup(thread)
  thread_count = thread_count + 1
  thread:set("thread_id", thread_count)
end

function init(arguments)
  local rest = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] ..
    "\r\nAuthorization: Bearer " .. arguments[1] .. "\r\n\r\n"
  requests = {}
  for path in io.lines(arguments[2]) do
    requests[#requests + 1] = "GET " .. path .. rest
  end
  request_count = #requests
  counter = math.floor(request_count * 0.37 * thread_id)
end

function request()
  counter = counter + 1
  return requests[counter % request_count + 1]
end
