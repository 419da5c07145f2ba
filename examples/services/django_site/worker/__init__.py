"""The site's own background work. The client's package is named `callworker`, so this name is free."""
