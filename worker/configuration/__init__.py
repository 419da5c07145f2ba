"""Reads what operators write, in the ways in which people write it.

textfiles        text files as editors and secret stores write them
plain_toml       the plain part of TOML, fast
credentials      API keys and webhook secrets as people paste them
signing_secrets  the secrets that sign webhooks, and until when each signs
secret_files     files of webhook secrets, and their text after a rotation
replacing        replaces a file in one step
ed25519          keys and signatures of ed25519, from an optional package
urls             HTTP addresses of the provider and of webhooks
addresses        addresses of servers in the settings
waits            lists of waits
values           the kinds of value that a setting may have, each with its rule
"""
