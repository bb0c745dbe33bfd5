"""A Kubernetes of one node on this machine, and what the documents tell users to do with it."""
