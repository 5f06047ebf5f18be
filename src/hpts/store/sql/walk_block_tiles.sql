-- store/verify_blocks.py: the tiles of the tree over the blocks from one on, by a cursor. Takes no lock.
SELECT level, tile_number, root
FROM block_tiles
WHERE tenant_id = %(tenant_id)s
    AND tile_number >= (%(from_block)s - 1) / CASE level WHEN 1 THEN 256 ELSE 65536 END
ORDER BY level, tile_number
