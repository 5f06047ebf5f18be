-- wrk script: payments of 1.00 USD on the loans of a file, each under a key of its own.
-- Arguments after `--`: the token, the file of "loan_id borrower_id" lines, a name for this run.
-- The text of every loan's request is made at the start and only the key's number is spliced in:
-- wrk shares its cores with what it measures, so it must cost as little of them as it can.
dofile((debug.getinfo(1, "S").source:match("^@(.*/)") or "") .. "summary.lua")

local head, tails, loan_count, counter
local thread_count = 0

function setup(thread)
  thread_count = thread_count + 1
  thread:set("thread_id", thread_count)
end

function init(arguments)
  local token, file, run = arguments[1], arguments[2], arguments[3]
  local today = os.date("!%Y-%m-%d")
  head = "POST /v1/payments HTTP/1.1\r\nHost: " .. wrk.headers["Host"] ..
    "\r\nAuthorization: Bearer " .. token ..
    "\r\nContent-Type: application/json\r\nIdempotency-Key: payment:" .. run .. ":" .. thread_id .. ":"
  tails = {}
  for line in io.lines(file) do
    local loan, borrower = line:match("^(%S+) (%S+)$")
    local body = string.format(
      '{"loan_id":"%s","borrower_id":"%s","amount_minor":"100","currency":"USD","effective_at":"%s","source_method":"ach"}',
      loan, borrower, today)
    tails[#tails + 1] = "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  end
  loan_count = #tails
  -- Threads start far apart, so that they do not pay on the same loan at the same moment.
  counter = math.floor(loan_count * 0.37 * thread_id)
end

function request()
  counter = counter + 1
  return head .. counter .. tails[counter % loan_count + 1]
end
