"""Reads what operators write, in the ways in which people write it.

textfiles    text files as editors and secret stores write them
credentials  API keys and webhook secrets as people paste them
urls         HTTP addresses of the provider and of webhooks
"""
