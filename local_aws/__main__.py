"""``python -m local_aws``: the server in the foreground."""

from local_aws.server import main

main()
