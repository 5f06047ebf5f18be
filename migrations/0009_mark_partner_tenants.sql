-- A tenant that is marked must come over mutual TLS: its tokens are refused anywhere else.
ALTER TABLE tenants ADD COLUMN requires_mtls boolean NOT NULL DEFAULT false;
