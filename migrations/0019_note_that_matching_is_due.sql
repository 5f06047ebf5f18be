-- Whether a bank account has items that the rules have not looked at: lines that were taken over, or set free
-- by an undone match. Kept with the account's cursor, so that whoever takes lines over need not be the one who
-- matches them, and nobody matches where nothing is new.
ALTER TABLE bank_cursors ADD COLUMN matching_is_due boolean NOT NULL DEFAULT true;
