-- First statement of every batch. The transaction is explicit: an error at commit inside a
-- pipeline's implicit transaction leaves the connection unusable.
BEGIN
