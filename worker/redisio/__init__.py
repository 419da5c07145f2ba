"""Connections to Redis and Lua scripts on it, for the store and for a Redis broker.

connection  clients with bounded waits, and how an address is read
node        one server: many commands in one write
nodes       which servers a store has, and which of them has a key
cluster     the servers of a Redis Cluster, and which of them has a key
cluster_client  a client whose commands go to the servers of their keys
reach       several servers, of which one that is away does not hold up the others
together    one round trip to several servers, with patience for each
runner      runs Lua scripts, many in one round trip
texts       the texts of scripts as servers get them, and the commands that run them
lua         Lua scripts as files of a package
trips       round trips to the servers of a store, each command to that of its key
turns       notices that a store went back in time
bell        tells an idle worker that a key has changed
kept        what must be true before the replies of a round trip count
written     whether Redis has written to its file what it answered
replicas    whether enough replicas have what Redis answered
primary     connections that end when the server is no longer the primary
sentinel    the same, to the master that Redis Sentinel names
sentinel_facts  what each Sentinel says
refusals    what Redis means by an error reply
translation  redis-py's errors as those that say what happens next
wrong_keys  keys that hold something else than they should
"""
