-- store/proofs.py: the tiles $3 to $4 of level $2. Takes no lock.
SELECT level, tile_number, root
FROM block_tiles
WHERE tenant_id = $1::uuid AND level = $2::smallint
    AND tile_number BETWEEN $3::bigint AND $4::bigint
ORDER BY tile_number
