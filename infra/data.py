"""The stack of what is kept: buckets, tables, keys, catalog, workgroups, images.

Nothing in it is ever deleted by an update, and the stack itself refuses its deletion.
"""

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra import kinds
from infra.declared import Declared
from infra.kinds import Site
from infra.names import ACCESS_LOGS, DAGSTER_LOGS, REPOSITORY, suffixed


class DataStack(cdk.Stack):
    """All declared resources that hold state."""

    def __init__(self, scope: Construct, name: str, declared: Declared, **rest: object) -> None:
        super().__init__(scope, name, termination_protection=True, **rest)
        stage, logs = declared.stage, suffixed(ACCESS_LOGS, declared.stage)
        self.site = Site(self, stage, access_logs=logs)
        logged = kinds.bucket(
            self.site,
            logs,
            ["AES256"],
            kind="log bucket",
            logged=False,
            rules=[
                s3.CfnBucket.RuleProperty(
                    id="a-year",
                    status="Enabled",
                    expiration_in_days=365,
                    noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(
                        noncurrent_days=1
                    ),
                )
            ],
            statements=[
                {
                    "Sid": "AccessLogs",
                    "Effect": "Allow",
                    "Principal": {"Service": "logging.s3.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{logs}/*",
                    "Condition": {"StringEquals": {"aws:SourceAccount": stage.account}},
                },
                {
                    "Sid": "LoadBalancer",
                    "Effect": "Allow",
                    "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{logs}/load-balancer/AWSLogs/{stage.account}/*",
                },
            ],
        )
        runs = kinds.bucket(
            self.site,
            suffixed(DAGSTER_LOGS, stage),
            ["AES256"],
            kind="bucket",
            rules=[
                s3.CfnBucket.RuleProperty(
                    id="a-quarter",
                    status="Enabled",
                    expiration_in_days=90,
                    noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(
                        noncurrent_days=1
                    ),
                )
            ],
        )
        runs.add_resource_dependency(logged)
        for resource in declared.resources:
            kind = kinds.KINDS.get(resource.kind)
            if kind is None or kind.stack == "data":
                made = kinds.make(self.site, resource)
                if isinstance(made, s3.CfnBucket):
                    made.add_resource_dependency(logged)
        names = declared.names
        # The product's own workgroup lets each audit name its result's path; people's does not.
        kinds.workgroup(
            self.site,
            f"{names.workgroup}-people",
            f"s3://{names.bucket}/athena-people/",
            enforced=True,
        )
        images = ecr.CfnRepository(
            self,
            "Images",
            repository_name=REPOSITORY,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration=ecr.CfnRepository.ImageScanningConfigurationProperty(
                scan_on_push=True
            ),
            encryption_configuration=ecr.CfnRepository.EncryptionConfigurationProperty(encryption_type="KMS"),
        )
        kinds.keep(images)
