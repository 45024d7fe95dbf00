"""The stack of what runs: network, database, roles, services, load balancer.

Nothing here holds state but Dagster's database, which is kept when the stack goes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_elasticloadbalancingv2_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_servicediscovery as discovery
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.declared import Declared
from infra.names import (
    ACCESS_LOGS,
    CLUSTER,
    DAGSTER_LOGS,
    DATABASE_USER,
    REPOSITORY,
    RUN_FAMILY,
    log_group,
    role_name,
    suffixed,
)
from infra.parts import RUN, SERVICES, Statement, policies
from infra.stages import HOME, NETWORK
from privacy_assets.sizes import DEFAULT

DATABASE = "dagster"
NAMESPACE = "privacy.internal"
CODE_PORT, WEB_PORT, API_PORT = 4000, 3000, 8000
GATEWAYS = {"S3": ec2.GatewayVpcEndpointAwsService.S3, "DynamoDb": ec2.GatewayVpcEndpointAwsService.DYNAMODB}
STREAMS = "dynamodb-streams"
INTERFACES = (
    "athena",
    "ec2",
    "ecr.api",
    "ecr.dkr",
    STREAMS,
    "ecs",
    "glue",
    "kms",
    "logs",
    "monitoring",
    "secretsmanager",
    "sns",
    "sqs",
    "sts",
)
"""What tasks call by way of an endpoint in the network; there is no other way out of it."""
_WEB = [
    "dagster-webserver",
    "--host",
    "0.0.0.0",  # noqa: S104  # the load balancer asks from outside of the task
    "--port",
    str(WEB_PORT),
    "--workspace",
    f"{HOME}/deploy/workspace.yaml",
]
COMMANDS: Mapping[str, Sequence[str]] = {
    "webserver": _WEB,
    "auditors": [*_WEB, "--read-only"],
    "daemon": ["dagster-daemon", "run", "--workspace", f"{HOME}/deploy/workspace.yaml"],
    "code": [
        "dagster",
        "api",
        "grpc",
        "--host",
        "0.0.0.0",  # noqa: S104  # webservers and daemon ask from other tasks
        "--port",
        str(CODE_PORT),
        "--module-name",
        "privacy_assets.definitions",
        "--location-name",
        "privacy_assets",
    ],
    "api": [
        "privacy-assets",
        "api",
        "--host",
        "0.0.0.0",  # noqa: S104  # as the webserver's
        "--port",
        str(API_PORT),
    ],
}
_SIZES = {
    "webserver": (512, 1024),
    "auditors": (512, 1024),
    "daemon": (512, 2048),
    "code": (1024, 4096),
    "api": (1024, 2048),
}
_PORTS = {"webserver": WEB_PORT, "auditors": WEB_PORT, "code": CODE_PORT, "api": API_PORT}
_HEALTH = {
    "webserver": ["CMD", "python", f"{HOME}/deploy/healthy.py", "http", str(WEB_PORT), "/server_info"],
    "auditors": ["CMD", "python", f"{HOME}/deploy/healthy.py", "http", str(WEB_PORT), "/server_info"],
    "daemon": ["CMD", "dagster-daemon", "liveness-check"],
    "code": ["CMD", "dagster", "api", "grpc-health-check", "--port", str(CODE_PORT)],
    "api": ["CMD", "python", f"{HOME}/deploy/healthy.py", "http", str(API_PORT), "/healthz"],
}


class ComputeStack(cdk.Stack):
    """The services of one stage. Without ``services`` all is there and none of them runs."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        declared: Declared,
        image_tag: str,
        *,
        services: bool = True,
        **rest: object,
    ) -> None:
        super().__init__(scope, name, termination_protection=True, **rest)
        self.declared, self.stage = declared, declared.stage
        self.image = (
            f"{self.stage.account}.dkr.ecr.{self.stage.region}.{cdk.Aws.URL_SUFFIX}/{REPOSITORY}:{image_tag}"
        )
        self.vpc = self._network()
        self.log_key = self._log_key()
        self.tasks = ec2.SecurityGroup(
            self, "Tasks", vpc=self.vpc, description="Services and runs", allow_all_outbound=False
        )
        self.database = self._database()
        self.cluster = self._cluster()
        self.execution = self._execution_role()
        self.roles = {part: self._role(part, statements) for part, statements in policies(declared).items()}
        self.balancer, self.listener = self._balancer()
        self._egress()
        self._task(RUN_FAMILY, RUN, [], DEFAULT.cpu, DEFAULT.memory, logs_of=RUN)
        self._database_task()
        namespace = discovery.PrivateDnsNamespace(self, "Namespace", name=NAMESPACE, vpc=self.vpc)
        for part in SERVICES:
            self._service(part, namespace, tasks=(2 if part == "api" else 1) if services else 0)
        self._routes()
        self._firewall()

    # --- network

    def _network(self) -> ec2.Vpc:
        """Tasks and database are in subnets without a way to the Internet; AWS is called by endpoints."""
        vpc = ec2.Vpc(
            self,
            "Network",
            ip_addresses=ec2.IpAddresses.cidr(NETWORK),
            availability_zones=self.stage.zones,
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=24,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(
                    name="tasks", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20
                ),
                ec2.SubnetConfiguration(
                    name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                ),
            ],
        )
        flow = logs.LogGroup(
            self,
            "FlowLogs",
            log_group_name=log_group("network"),
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        writer = self._trusted("FlowWriter", "vpc-flow-logs.amazonaws.com")
        vpc.add_flow_log("Flow", destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow, writer))
        gateways = {name: vpc.add_gateway_endpoint(name, service=each) for name, each in GATEWAYS.items()}
        for gateway in gateways.values():
            gateway.add_to_policy(self._ours())
        # ECR keeps the layers of images in a bucket of its own, to which it signs links.
        gateways["S3"].add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=["s3:GetObject"],
                resources=[f"arn:aws:s3:::prod-{self.stage.region}-starport-layer-bucket/*"],
            )
        )
        self.endpoints = ec2.SecurityGroup(
            self, "Endpoints", vpc=vpc, description="Endpoints of AWS", allow_all_outbound=False
        )
        for short in INTERFACES:
            made = ec2.InterfaceVpcEndpoint(
                self,
                "Endpoint" + "".join(word.capitalize() for word in short.replace("-", ".").split(".")),
                vpc=vpc,
                service=ec2.InterfaceVpcEndpointService(f"com.amazonaws.{self.stage.region}.{short}", 443),
                private_dns_enabled=short != STREAMS,
                subnets=ec2.SubnetSelection(subnet_group_name="tasks"),
                security_groups=[self.endpoints],
                open=False,
            )
            made.add_to_policy(self._ours())
            if short == STREAMS:
                # It alone has no private name (DynamoDB Developer Guide, "PrivateLink for DynamoDB Streams").
                zone_and_name = cdk.Fn.select(0, made.vpc_endpoint_dns_entries)
                self.streams = f"https://{cdk.Fn.select(1, cdk.Fn.split(':', zone_and_name))}"
        return vpc

    def _ours(self) -> iam.PolicyStatement:
        """What an endpoint passes on: calls of this account's roles, and nobody else's credentials."""
        return iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],
            actions=["*"],
            resources=["*"],
            conditions={"StringEquals": {"aws:PrincipalAccount": self.stage.account}},
        )

    def _trusted(self, name: str, service: str, *managed: str) -> iam.Role:
        """A role for a service that acts for this account, and for no other."""
        ours = {"StringEquals": {"aws:SourceAccount": self.stage.account}}
        return iam.Role(
            self,
            name,
            assumed_by=iam.ServicePrincipal(service, conditions=ours),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(each) for each in managed],
        )

    def _egress(self) -> None:
        """Tasks reach the endpoints, the database, one another's code server; S3 and DynamoDB by prefix."""
        https = ec2.Port.tcp(443)
        self.endpoints.add_ingress_rule(self.tasks, https, "APIs of AWS")
        self.tasks.add_egress_rule(self.endpoints, https, "APIs of AWS")
        # Gateway endpoints have addresses of AWS; there is no route to any other address.
        self.tasks.add_egress_rule(ec2.Peer.any_ipv4(), https, "S3 and DynamoDB by their gateways")
        self.tasks.add_egress_rule(self.tasks, ec2.Port.tcp(CODE_PORT), "The code location")
        self.tasks.add_ingress_rule(self.tasks, ec2.Port.tcp(CODE_PORT), "The code location")
        self.tasks.add_egress_rule(self.database_group, ec2.Port.tcp(5432), "Database of Dagster")
        self.database_group.add_ingress_rule(self.tasks, ec2.Port.tcp(5432), "Database of Dagster")
        for port in sorted({WEB_PORT, API_PORT}):
            self.tasks.add_ingress_rule(self.balancer_group, ec2.Port.tcp(port), "The load balancer")
            self.balancer_group.add_egress_rule(self.tasks, ec2.Port.tcp(port), "Services")

    # --- database

    def _database(self) -> rds.DatabaseInstance:
        """Dagster's runs, events and ticks. Processes sign in with their role; nobody has a password.

        The administrator's is made and rotated by RDS every seven days; the task ``database`` alone reads it.
        """
        self.database_group = ec2.SecurityGroup(
            self, "DatabaseGroup", vpc=self.vpc, description="Database of Dagster", allow_all_outbound=False
        )
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.of("17.11", "17"))
        parameters = rds.ParameterGroup(
            self,
            "Parameters",
            engine=engine,
            parameters={"rds.force_ssl": "1", "log_connections": "1", "log_min_duration_statement": "1000"},
        )
        made = rds.DatabaseInstance(
            self,
            "Database",
            engine=engine,
            instance_type=ec2.InstanceType.of(ec2.InstanceClass.T4G, ec2.InstanceSize.MEDIUM),
            vpc=self.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_group_name="database"),
            security_groups=[self.database_group],
            parameter_group=parameters,
            database_name=DATABASE,
            credentials=rds.Credentials.from_username(
                "administrator", password=cdk.SecretValue.unsafe_plain_text("-")
            ),
            multi_az=True,
            allocated_storage=50,
            max_allocated_storage=500,
            storage_type=rds.StorageType.GP3,
            storage_encrypted=True,
            iam_authentication=True,
            backup_retention=cdk.Duration.days(35),
            copy_tags_to_snapshot=True,
            deletion_protection=True,
            delete_automated_backups=False,
            auto_minor_version_upgrade=True,
            enable_performance_insights=True,
            cloudwatch_logs_exports=["postgresql", "upgrade"],
            monitoring_interval=cdk.Duration.seconds(60),
            monitoring_role=self._trusted(
                "Monitoring", "monitoring.rds.amazonaws.com", "service-role/AmazonRDSEnhancedMonitoringRole"
            ),
            removal_policy=cdk.RemovalPolicy.RETAIN,
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
        )
        instance = made.node.default_child
        assert isinstance(instance, rds.CfnDBInstance)
        instance.master_user_password = None
        instance.manage_master_user_password = True
        return made

    # --- cluster, roles, tasks

    def _log_key(self) -> kms.Key:
        key = kms.Key(
            self,
            "LogKey",
            description="Logs of services and runs",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal(f"logs.{self.stage.region}.amazonaws.com")],
                actions=[
                    "kms:Decrypt*",
                    "kms:Encrypt*",
                    "kms:GenerateDataKey*",
                    "kms:ReEncrypt*",
                    "kms:Describe*",
                ],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": self.stage.place.arn(
                            "logs", f"log-group:{log_group('')}*"
                        )
                    }
                },
            )
        )
        return key

    def _cluster(self) -> ecs.CfnCluster:
        return ecs.CfnCluster(
            self,
            "Cluster",
            cluster_name=CLUSTER,
            capacity_providers=["FARGATE", "FARGATE_SPOT"],
            cluster_settings=[
                ecs.CfnCluster.ClusterSettingsProperty(name="containerInsights", value="enabled")
            ],
        )

    def _role(self, part: str, statements: Sequence[Statement]) -> iam.CfnRole:
        document = [
            {
                "Sid": each.sid,
                "Effect": "Allow",
                "Action": sorted(each.actions),
                "Resource": sorted(each.resources),
                **({"Condition": dict(each.conditions)} if each.conditions else {}),
            }
            for each in statements
        ]
        return iam.CfnRole(
            self,
            "Role" + "".join(word.capitalize() for word in part.split("-")),
            role_name=role_name(part),
            description=f"What {part} calls, and no more",
            assume_role_policy_document=self._trust(),
            policies=[
                iam.CfnRole.PolicyProperty(
                    policy_name="its-work",
                    policy_document={"Version": "2012-10-17", "Statement": document},
                )
            ],
        )

    def _trust(self) -> dict[str, Any]:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": self.stage.account},
                "ArnLike": {"aws:SourceArn": self.stage.place.arn("ecs", "*")},
            },
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    def _execution_role(self) -> iam.CfnRole:
        """What ECS itself needs to start a task: its image and its log."""
        return self._role(
            "task-execution",
            [
                # ECR knows no resources for it.
                Statement("SignIn", ["ecr:GetAuthorizationToken"], ["*"]),
                Statement(
                    "Image",
                    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    [self.stage.place.arn("ecr", f"repository/{REPOSITORY}")],
                ),
                Statement(
                    "Log",
                    ["logs:CreateLogStream", "logs:PutLogEvents"],
                    [self.stage.place.arn("logs", f"log-group:{log_group('')}*")],
                ),
            ],
        )

    def _environment(self) -> dict[str, str]:
        return {
            **self.stage.environment(),
            "AWS_REGION": self.stage.region,
            "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": self.streams,
            "DAGSTER_HOME": f"{HOME}/deploy",
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "DAGSTER_PG_HOST": self.database.db_instance_endpoint_address,
            "DAGSTER_PG_USER": DATABASE_USER,
            "DAGSTER_PG_DB": DATABASE,
            "DAGSTER_LOGS_BUCKET": suffixed(DAGSTER_LOGS, self.stage),
            "DAGSTER_RUN_TASK": RUN_FAMILY,
            "DAGSTER_CODE_HOST": f"code.{NAMESPACE}",
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": "/tmp",  # noqa: S108  # the one place that can be written to
        }

    def _log(self, name: str) -> logs.LogGroup:
        return logs.LogGroup(
            self,
            "Log" + name.capitalize(),
            log_group_name=log_group(name),
            retention=logs.RetentionDays.ONE_YEAR,
            encryption_key=self.log_key,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )

    def _task(
        self,
        family: str,
        part: str,
        command: Sequence[str],
        cpu: int,
        memory: int,
        *,
        logs_of: str,
        health: Sequence[str] = (),
        port: int | None = None,
        secrets: Sequence[ecs.CfnTaskDefinition.SecretProperty] = (),
        environment: Mapping[str, str] | None = None,
        execution: iam.CfnRole | None = None,
        role: iam.CfnRole | None = None,
    ) -> ecs.CfnTaskDefinition:
        """A task whose one container has a read-only root and may write to /tmp alone."""
        group = self._log(logs_of)
        container = ecs.CfnTaskDefinition.ContainerDefinitionProperty(
            name=RUN if part == RUN else part,
            image=self.image,
            command=list(command) or None,
            essential=True,
            readonly_root_filesystem=True,
            user="10001:10001",
            privileged=False,
            linux_parameters=ecs.CfnTaskDefinition.LinuxParametersProperty(
                init_process_enabled=True,
                capabilities=ecs.CfnTaskDefinition.KernelCapabilitiesProperty(drop=["ALL"]),
            ),
            environment=[
                ecs.CfnTaskDefinition.KeyValuePairProperty(name=name, value=value)
                for name, value in sorted((environment or self._environment()).items())
            ],
            secrets=list(secrets) or None,
            mount_points=[
                ecs.CfnTaskDefinition.MountPointProperty(
                    container_path="/tmp",  # noqa: S108  # a volume of the task's own, which ends with it
                    source_volume="scratch",
                    read_only=False,
                )
            ],
            port_mappings=[ecs.CfnTaskDefinition.PortMappingProperty(container_port=port, protocol="tcp")]
            if port
            else None,
            health_check=ecs.CfnTaskDefinition.HealthCheckProperty(
                command=list(health), interval=30, timeout=20, retries=3, start_period=120
            )
            if health
            else None,
            log_configuration=ecs.CfnTaskDefinition.LogConfigurationProperty(
                log_driver="awslogs",
                options={
                    "awslogs-group": group.log_group_name,
                    "awslogs-region": self.stage.region,
                    "awslogs-stream-prefix": part,
                },
            ),
            stop_timeout=110,
        )
        return ecs.CfnTaskDefinition(
            self,
            "Task" + "".join(word.capitalize() for word in family.split("-")),
            family=family,
            cpu=str(cpu),
            memory=str(memory),
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
            runtime_platform=ecs.CfnTaskDefinition.RuntimePlatformProperty(
                cpu_architecture=self.stage.architecture, operating_system_family="LINUX"
            ),
            execution_role_arn=(execution or self.execution).attr_arn,
            task_role_arn=role.attr_arn if role else self.roles[part].attr_arn,
            container_definitions=[container],
            volumes=[ecs.CfnTaskDefinition.VolumeProperty(name="scratch")],
        )

    def _database_task(self) -> None:
        """Run once: makes the user that processes sign in as. It alone has the administrator's secret."""
        instance = self.database.node.default_child
        assert isinstance(instance, rds.CfnDBInstance)
        secret = instance.attr_master_user_secret_secret_arn
        execution = self._role(
            "database-execution",
            [
                Statement("SignIn", ["ecr:GetAuthorizationToken"], ["*"]),
                Statement(
                    "Image",
                    ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
                    [self.stage.place.arn("ecr", f"repository/{REPOSITORY}")],
                ),
                Statement(
                    "Log",
                    ["logs:CreateLogStream", "logs:PutLogEvents"],
                    [self.stage.place.arn("logs", f"log-group:{log_group('database')}*")],
                ),
                Statement("Secret", ["secretsmanager:GetSecretValue"], [secret]),
            ],
        )
        self._task(
            "privacy-database",
            "database",
            ["python", "-m", "privacy_assets.machine.database"],
            256,
            512,
            logs_of="database",
            environment={
                "DAGSTER_PG_HOST": self.database.db_instance_endpoint_address,
                "DAGSTER_PG_USER": DATABASE_USER,
                "DAGSTER_PG_DB": DATABASE,
                "DAGSTER_PG_CA": f"{HOME}/rds-ca.pem",
            },
            secrets=[
                ecs.CfnTaskDefinition.SecretProperty(name="ADMIN_USER", value_from=f"{secret}:username::"),
                ecs.CfnTaskDefinition.SecretProperty(
                    name="ADMIN_PASSWORD", value_from=f"{secret}:password::"
                ),
            ],
            execution=execution,
            role=self._role("database", [Statement("Nothing", ["sts:GetCallerIdentity"], ["*"])]),
        )

    # --- services

    def _service(self, part: str, namespace: discovery.PrivateDnsNamespace, *, tasks: int) -> None:
        cpu, memory = _SIZES[part]
        task = self._task(
            f"privacy-{part}",
            part,
            COMMANDS[part],
            cpu,
            memory,
            logs_of=part,
            health=_HEALTH[part],
            port=_PORTS.get(part),
        )
        alone = part == "daemon"  # two daemons would evaluate each tick twice
        registry = None
        if part == "code":
            registry = discovery.CfnService(
                self,
                "CodeName",
                name="code",
                namespace_id=namespace.namespace_id,
                dns_config=discovery.CfnService.DnsConfigProperty(
                    dns_records=[discovery.CfnService.DnsRecordProperty(type="A", ttl=10)]
                ),
                health_check_custom_config=discovery.CfnService.HealthCheckCustomConfigProperty(
                    failure_threshold=1
                ),
            )
        target = self._target(part) if part in ("webserver", "auditors", "api") else None
        service = ecs.CfnService(
            self,
            "Service" + part.capitalize(),
            service_name=part,
            cluster=self.cluster.ref,
            task_definition=task.ref,
            desired_count=tasks,
            launch_type="FARGATE",
            platform_version="LATEST",
            enable_execute_command=False,
            propagate_tags="SERVICE",
            deployment_configuration=ecs.CfnService.DeploymentConfigurationProperty(
                minimum_healthy_percent=0 if alone else 100,
                maximum_percent=100 if alone else 200,
                deployment_circuit_breaker=ecs.CfnService.DeploymentCircuitBreakerProperty(
                    enable=True, rollback=True
                ),
            ),
            network_configuration=ecs.CfnService.NetworkConfigurationProperty(
                awsvpc_configuration=ecs.CfnService.AwsVpcConfigurationProperty(
                    subnets=self.vpc.select_subnets(subnet_group_name="tasks").subnet_ids,
                    security_groups=[self.tasks.security_group_id],
                    assign_public_ip="DISABLED",
                )
            ),
            load_balancers=[
                ecs.CfnService.LoadBalancerProperty(
                    container_name=part, container_port=_PORTS[part], target_group_arn=target.target_group_arn
                )
            ]
            if target
            else None,
            health_check_grace_period_seconds=180 if target else None,
            service_registries=[ecs.CfnService.ServiceRegistryProperty(registry_arn=registry.attr_arn)]
            if registry
            else None,
        )
        service.node.add_dependency(self.listener)

    # --- the way in

    def _balancer(self) -> tuple[elb.ApplicationLoadBalancer, elb.ApplicationListener]:
        self.balancer_group = ec2.SecurityGroup(
            self, "BalancerGroup", vpc=self.vpc, description="Load balancer", allow_all_outbound=False
        )
        self.targets: dict[str, elb.ApplicationTargetGroup] = {}
        balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=self.vpc,
            internet_facing=True,
            security_group=self.balancer_group,
            drop_invalid_header_fields=True,
            deletion_protection=True,
        )
        balancer.log_access_logs(
            s3.Bucket.from_bucket_name(self, "AccessLogs", suffixed(ACCESS_LOGS, self.stage)),
            prefix="load-balancer",
        )
        self.balancer_group.add_egress_rule(
            ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Keys and tokens of Cognito"
        )
        balancer.add_redirect()
        listener = balancer.add_listener(
            "Https",
            port=443,
            certificates=[acm.Certificate.from_certificate_arn(self, "Certificate", self.stage.certificate)],
            ssl_policy=elb.SslPolicy.RECOMMENDED_TLS,
            open=True,
            default_action=elb.ListenerAction.fixed_response(
                404, content_type="text/plain", message_body="nothing here\n"
            ),
        )
        return balancer, listener

    def _target(self, part: str) -> elb.ApplicationTargetGroup:
        path = "/readyz" if part == "api" else "/server_info"
        self.targets[part] = elb.ApplicationTargetGroup(
            self,
            "Target" + part.capitalize(),
            vpc=self.vpc,
            port=_PORTS[part],
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(30),
            health_check=elb.HealthCheck(
                path=path, healthy_http_codes="200", interval=cdk.Duration.seconds(15)
            ),
        )
        return self.targets[part]

    def _routes(self) -> None:
        """People sign in with Cognito, operators and auditors in a pool each; the API has tokens."""
        hosts = {"webserver": "dagster", "auditors": "auditors", "api": "api"}
        for number, (part, host) in enumerate(hosts.items(), start=1):
            forward = elb.ListenerAction.forward([self.targets[part]])
            action = forward if part == "api" else self._signed_in(part, host, forward)
            self.listener.add_action(
                f"To{part.capitalize()}",
                priority=number * 10,
                conditions=[elb.ListenerCondition.host_headers([f"{host}.{self.stage.domain}"])],
                action=action,
            )

    def _signed_in(self, part: str, host: str, then: elb.ListenerAction) -> elb.ListenerAction:
        pool = cognito.UserPool(
            self,
            "People" + part.capitalize(),
            user_pool_name=f"privacy-{part}",
            self_sign_up_enabled=False,
            sign_in_aliases=cognito.SignInAliases(email=True),
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=14,
                require_digits=True,
                require_lowercase=True,
                require_uppercase=True,
                require_symbols=True,
            ),
            feature_plan=cognito.FeaturePlan.PLUS,
            standard_threat_protection_mode=cognito.StandardThreatProtectionMode.FULL_FUNCTION,
            account_recovery=cognito.AccountRecovery.EMAIL_ONLY,
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        client = pool.add_client(
            "Balancer",
            generate_secret=True,
            prevent_user_existence_errors=True,
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(authorization_code_grant=True),
                scopes=[cognito.OAuthScope.OPENID, cognito.OAuthScope.EMAIL],
                callback_urls=[f"https://{host}.{self.stage.domain}/oauth2/idpresponse"],
            ),
        )
        domain = pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"privacy-{part}-{self.stage.account}-{self.stage.region}"
            ),
        )
        return actions.AuthenticateCognitoAction(
            user_pool=pool,
            user_pool_client=client,
            user_pool_domain=domain,
            session_timeout=cdk.Duration.hours(8),
            # Of one name, who may see the one page would be let into the other with the same cookie.
            session_cookie_name=f"privacy-{part}",
            next=then,
        )

    def _firewall(self) -> None:
        managed = (
            "AWSManagedRulesCommonRuleSet",
            "AWSManagedRulesKnownBadInputsRuleSet",
            "AWSManagedRulesAmazonIpReputationList",
        )
        rules = [
            waf.CfnWebACL.RuleProperty(
                name=name,
                priority=priority,
                override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
                statement=waf.CfnWebACL.StatementProperty(
                    managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                        vendor_name="AWS",
                        name=name,
                        # The API takes bodies of a megabyte, and checks their size itself.
                        rule_action_overrides=[
                            waf.CfnWebACL.RuleActionOverrideProperty(
                                name="SizeRestrictions_BODY",
                                action_to_use=waf.CfnWebACL.RuleActionProperty(count={}),
                            )
                        ]
                        if "Common" in name
                        else None,
                    )
                ),
                visibility_config=_seen(name),
            )
            for priority, name in enumerate(managed)
        ]
        rate = waf.CfnWebACL.RuleProperty(
            name="rate",
            priority=len(managed),
            action=waf.CfnWebACL.RuleActionProperty(block={}),
            statement=waf.CfnWebACL.StatementProperty(
                rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                    limit=120_000, aggregate_key_type="IP", evaluation_window_sec=300
                )
            ),
            visibility_config=_seen("rate"),
        )
        acl = waf.CfnWebACL(
            self,
            "Firewall",
            scope="REGIONAL",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[*rules, rate],
            visibility_config=_seen("firewall"),
        )
        waf.CfnWebACLAssociation(
            self,
            "FirewallOfBalancer",
            resource_arn=self.balancer.load_balancer_arn,
            web_acl_arn=acl.attr_arn,
        )
        kept = logs.LogGroup(
            self,
            "FirewallLog",
            log_group_name="aws-waf-logs-privacy-assets",
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        logging = waf.CfnLoggingConfiguration(
            self,
            "FirewallLogging",
            resource_arn=acl.attr_arn,
            log_destination_configs=[self.stage.place.arn("logs", "log-group:aws-waf-logs-privacy-assets")],
            redacted_fields=[
                waf.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name})
                for name in ("authorization", "cookie")
            ]
            + [waf.CfnLoggingConfiguration.FieldToMatchProperty(query_string={})],
        )
        logging.node.add_dependency(kept)


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=f"privacy-{name}", sampled_requests_enabled=False
    )
