-- store/reads.py: what the loan $2 owes now. Takes no lock.
SELECT currency, principal_minor, interest_minor, fees_minor,
    ((extract(epoch FROM last_activity_at) - 946684800) * 1000000)::bigint
FROM loans
WHERE tenant_id = $1::uuid AND loan_id = $2::uuid
