"""AWS on one machine: a moto server that also runs Athena, crawlers, exports and pipes for real.

Nothing here knows the product: any AWS client that ``AWS_ENDPOINT_URL`` points at the server is served.
"""
