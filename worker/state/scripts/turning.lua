-- Prelude of scripts that change their one shard whenever they run: `ground` then takes a turn at once.

TURNS = {}
