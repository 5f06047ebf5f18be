-- First statement of every batch; each later one must see what was committed before it. The
-- transaction is explicit: an error at commit inside a pipeline's implicit transaction leaves the
-- connection unusable.
BEGIN ISOLATION LEVEL READ COMMITTED
