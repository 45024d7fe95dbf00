"""What a security reviewer looks for in the templates: nothing open, nothing in the clear, nothing lost."""

from typing import Any

from infra.declared import Declared
from tests.infra.template import Found, Templates

STATEFUL = (
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::RDS::DBInstance",
    "AWS::SQS::Queue",
    "AWS::Glue::Database",
    "AWS::ECR::Repository",
    "AWS::Cognito::UserPool",
    "AWS::Logs::LogGroup",
)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_nothing_that_holds_state_is_deleted_or_replaced(templates: Templates) -> None:
    found = list(templates.all(*STATEFUL))
    assert {each.type for each in found} == set(STATEFUL)
    for each in found:
        policies = (each.resource.get("DeletionPolicy"), each.resource.get("UpdateReplacePolicy"))
        assert policies == ("Retain", "Retain"), f"{each.id}: {policies}"


def test_buckets_are_private_encrypted_and_take_tls_alone(templates: Templates) -> None:
    policies = {each.properties["Bucket"]: each.properties for each in templates.all("AWS::S3::BucketPolicy")}
    for each in templates.all("AWS::S3::Bucket"):
        name = each.properties["BucketName"]
        assert all(each.properties["PublicAccessBlockConfiguration"].values()), name
        assert each.properties["BucketEncryption"], name
        denied = [s for s in policies[name]["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
        assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}, name


def test_all_that_stores_is_encrypted(templates: Templates) -> None:
    for each in templates.all("AWS::SQS::Queue"):
        assert each.properties["SqsManagedSseEnabled"] is True, each.id
    for each in templates.all("AWS::DynamoDB::Table"):
        assert each.properties["SSESpecification"]["SSEEnabled"] is True, each.id
    for each in templates.all("AWS::SNS::Topic"):
        assert each.properties["KmsMasterKeyId"], each.id
    for each in templates.all("AWS::RDS::DBInstance"):
        assert each.properties["StorageEncrypted"] is True
        assert each.properties["ManageMasterUserPassword"] is True
        assert "MasterUserPassword" not in each.properties
        assert each.properties["PubliclyAccessible"] is False


def statements(found: Found) -> list[dict[str, Any]]:
    return [
        s for policy in found.properties.get("Policies", []) for s in policy["PolicyDocument"]["Statement"]
    ]


def test_no_wildcard_action_and_no_unconditional_wildcard(templates: Templates) -> None:
    """Actions that know no resources, by the Service Authorization Reference."""
    without_resources = {
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:PutMetricData",
        "dynamodb:ListExports",
        "ec2:DescribeNetworkInterfaces",
        "ecr:GetAuthorizationToken",
        "ecs:DescribeTaskDefinition",
        "sts:GetCallerIdentity",
    }
    for role in templates.all("AWS::IAM::Role"):
        for statement in statements(role):
            for action in listed(statement["Action"]):
                assert "*" not in action, f"{role.id}: {action}"
                if "*" in listed(statement["Resource"]):
                    assert action in without_resources, f"{role.id}: {action} on *"


def test_each_queue_has_dead_letters_and_each_of_these_an_alarm(templates: Templates) -> None:
    queues = {each.properties["QueueName"]: each.properties for each in templates.all("AWS::SQS::Queue")}
    named = {
        each["RedrivePolicy"]["deadLetterTargetArn"].rpartition(":")[2]
        for each in queues.values()
        if "RedrivePolicy" in each
    }
    for pipe in templates.all("AWS::Pipes::Pipe"):
        parameters = pipe.properties["SourceParameters"]["DynamoDBStreamParameters"]
        named.add(parameters["DeadLetterConfig"]["Arn"].rpartition(":")[2])
    assert {name for name, each in queues.items() if "RedrivePolicy" not in each} == named
    watched = {
        dimension["Value"]
        for alarm in templates.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        for dimension in alarm.properties["Dimensions"]
    }
    assert watched == named


def test_every_alarm_tells_somebody_and_has_its_runbook(templates: Templates, declared: Declared) -> None:
    from privacy_assets.governed import PROJECT

    runbooks = (PROJECT / "docs" / "runbooks.md").read_text()
    topic = f"arn:aws:sns:us-east-1:123456789012:{declared.names.topic}"
    for alarm in templates.all("AWS::CloudWatch::Alarm"):
        assert topic in alarm.properties["AlarmActions"], alarm.id
        section = alarm.properties["AlarmDescription"].rpartition("docs/runbooks.md, ")[2]
        assert f"\n## {section}\n" in runbooks, f"{alarm.properties['AlarmName']}: no section {section!r}"


def test_tasks_are_read_only_and_nobody_in_particular(templates: Templates) -> None:
    tasks = list(templates.all("AWS::ECS::TaskDefinition"))
    assert len(tasks) == 7
    for task in tasks:
        (container,) = task.properties["ContainerDefinitions"]
        assert container["ReadonlyRootFilesystem"] is True
        assert container["User"] == "10001:10001"
        assert container["LinuxParameters"]["Capabilities"]["Drop"] == ["ALL"]
        family = task.properties["Family"]
        assert ("HealthCheck" in container) == (family not in ("privacy-run", "privacy-database")), family


def test_no_secret_stands_in_a_template(templates: Templates) -> None:
    for task in templates.all("AWS::ECS::TaskDefinition"):
        (container,) = task.properties["ContainerDefinitions"]
        for each in container["Environment"]:
            assert not any(word in each["Name"] for word in ("PASSWORD", "TOKEN", "KEY_ID")), each["Name"]


def test_nothing_leaves_the_network_and_one_port_comes_in(templates: Templates) -> None:
    assert not list(templates.all("AWS::EC2::NatGateway"))
    opened = {
        rule["FromPort"]
        for group in templates.all("AWS::EC2::SecurityGroup")
        for rule in group.properties.get("SecurityGroupIngress", [])
        if rule.get("CidrIp") == "0.0.0.0/0"
    }
    assert opened == {80, 443}
    (redirect,) = [
        each.properties
        for each in templates.all("AWS::ElasticLoadBalancingV2::Listener")
        if each.properties["Port"] == 80
    ]
    assert redirect["DefaultActions"][0]["Type"] == "redirect"


def test_the_one_web_page_does_not_take_the_others_cookie(templates: Templates) -> None:
    """Several applications need a name of a cookie for each of them (Elastic Load Balancing, "Authenticate
    users using an Application Load Balancer").
    """
    signed_in = [
        action["AuthenticateCognitoConfig"]
        for rule in templates.all("AWS::ElasticLoadBalancingV2::ListenerRule")
        for action in rule.properties["Actions"]
        if action["Type"] == "authenticate-cognito"
    ]
    assert len(signed_in) == 2
    for name in ("SessionCookieName", "UserPoolArn", "UserPoolClientId"):
        assert len({each[name] for each in signed_in}) == 2, name


def test_endpoints_pass_on_calls_of_this_account_alone(templates: Templates) -> None:
    """Else whoever is in the network could carry data out with credentials of another account."""
    found = list(templates.all("AWS::EC2::VPCEndpoint"))
    assert len(found) > 10
    ours = {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    for endpoint in found:
        name = str(endpoint.properties["ServiceName"])
        for statement in endpoint.properties["PolicyDocument"]["Statement"]:
            if statement.get("Condition") == ours:
                continue
            assert name.endswith(".s3"), endpoint.id
            assert statement["Action"] == "s3:GetObject"
            assert statement["Resource"] == "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"


def test_streams_are_read_by_the_name_that_their_endpoint_has(templates: Templates) -> None:
    for endpoint in templates.all("AWS::EC2::VPCEndpoint"):
        if endpoint.properties["VpcEndpointType"] == "Interface":
            streams = "dynamodb-streams" in str(endpoint.properties["ServiceName"])
            assert endpoint.properties["PrivateDnsEnabled"] is not streams, endpoint.id
    for task in templates.documents["compute"]["Resources"].values():
        if task["Type"] == "AWS::ECS::TaskDefinition" and task["Properties"]["Family"] == "privacy-run":
            (container,) = task["Properties"]["ContainerDefinitions"]
            given = {each["Name"]: each["Value"] for each in container["Environment"]}
            assert "EndpointDynamodbStreams" in str(given["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"])


def test_no_service_is_trusted_on_behalf_of_another_account(templates: Templates) -> None:
    for role in templates.all("AWS::IAM::Role"):
        for statement in role.properties["AssumeRolePolicyDocument"]["Statement"]:
            assert [*statement["Principal"]] == ["Service"], role.id
            condition = statement["Condition"]["StringEquals"]
            assert condition["aws:SourceAccount"] == "123456789012", role.id


def test_what_athena_answers_is_not_kept(templates: Templates, declared: Declared) -> None:
    lake = templates.one("AWS::S3::Bucket", BucketName=declared.names.bucket).properties
    kept = {
        rule["Prefix"]: rule["ExpirationInDays"]
        for rule in lake["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    outputs = {
        each.properties["WorkGroupConfiguration"]["ResultConfiguration"]["OutputLocation"]
        for each in templates.all("AWS::Athena::WorkGroup")
    }
    assert len(outputs) == 2
    assert outputs < {f"s3://{declared.names.bucket}/{prefix}" for prefix in kept}


def test_logs_of_the_firewall_hold_no_token_and_no_query(templates: Templates) -> None:
    (logging,) = templates.all("AWS::WAFv2::LoggingConfiguration")
    fields = logging.properties["RedactedFields"]
    assert {each["SingleHeader"]["Name"] for each in fields if "SingleHeader" in each} == {
        "authorization",
        "cookie",
    }
    assert {"QueryString": {}} in fields


def test_a_stack_with_state_refuses_its_deletion(templates: Templates) -> None:
    assert templates.protected == {"data", "messaging", "compute"}
