-- Deliveries by what became of them, in the order of the chain. An endpoint that fails now and then has a
-- hundred thousand that went through after all, kept for some days: the few that did not are found without
-- reading those.
DROP INDEX webhook_deliveries_by_place;
CREATE INDEX webhook_deliveries_by_status
    ON webhook_deliveries (tenant_id, endpoint_id, status, block_number, place);

-- The changes of issuers' keys, which every worker reads when it starts, among nobody's refusals, of which
-- whoever tries tokens makes as many as he likes.
CREATE INDEX audit_events_of_issuer_keys
    ON audit_events (tenant_id, event_number) WHERE action IN ('key.accept', 'key.withdraw');
