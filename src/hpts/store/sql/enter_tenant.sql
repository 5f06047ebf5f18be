-- Shows the transaction the rows of one tenant ($1) and no others. Every transaction of the API starts so.
SELECT set_config('hpts.tenant_id', $1::text, true)
