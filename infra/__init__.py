"""The AWS deployment, in CDK: an environment of its own (``infra/constraints.txt``), synthesized offline.

What the product itself needs of an account is declared in ``resources.provision`` and only turned into
CloudFormation here; what runs it (network, services, database, alarms) is declared here.
"""
