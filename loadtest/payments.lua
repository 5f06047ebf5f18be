-- wrk script: payments of 1.00 USD on the loans of a file, each under a key of its own.
-- Arguments after `--`: the token, the file of "loan_id borrower_id" lines, a name for this run.
local loans, token, run, thread_count = {}, nil, nil, 0
local counter = 0

function setup(thread)
  thread_count = thread_count + 1
  thread:set("thread_id", thread_count)
end

function init(arguments)
  token, run = arguments[1], arguments[3]
  for line in io.lines(arguments[2]) do
    local loan, borrower = line:match("^(%S+) (%S+)$")
    loans[#loans + 1] = { loan, borrower }
  end
  counter = thread_id * 7919
  headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
  today = os.date("!%Y-%m-%d")
end

function request()
  counter = counter + 1
  local pair = loans[counter % #loans + 1]
  headers["Idempotency-Key"] = string.format("payment:%s:%d:%d", run, thread_id, counter)
  local body = string.format(
    '{"loan_id":"%s","borrower_id":"%s","amount_minor":"100","currency":"USD","effective_at":"%s","source_method":"ach"}',
    pair[1], pair[2], today)
  return wrk.format("POST", "/v1/payments", headers, body)
end

function done(summary, latency, requests)
  local refused = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  print(string.format(
    "payments/s %.0f  p50 %.1f ms  p99 %.1f ms  p99.9 %.1f ms  errors %d",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, refused))
end
