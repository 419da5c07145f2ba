-- Makes an account's pace known, so that its backlog goes by it from now on.
-- KEYS 1 shard prefix
-- ARGV 1 account  2 pace
-- Reply: nil

refresh(load_account(ARGV[1], ARGV[2]))
