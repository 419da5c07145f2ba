-- Prelude of scripts that change their one shard whenever they run: `common` then takes a turn at once.

TURNS = {}
