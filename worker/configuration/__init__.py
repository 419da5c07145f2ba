"""Reading what operators write, as people write it.

textfiles    text files as editors and secret stores leave them
credentials  API keys and webhook secrets as people paste them
urls         HTTP addresses of the provider and of webhooks
"""
