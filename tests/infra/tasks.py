"""Runs as tasks on local AWS's ECS, which starts none: what Dagster's launcher and executor ask of AWS."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

import boto3
import dagster as dg
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.context_creation_job import (
    PlanOrchestrationContextManager,
    orchestration_context_event_generator,
)
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.executor.step_delegating import StepDelegatingExecutor, StepHandlerContext
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.test_utils import instance_for_test
from dagster._grpc.types import ExecuteStepArgs
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.utils import get_task_logs
from dagster_aws.s3 import S3ComputeLogManager

from infra.names import CLUSTER, DAGSTER_LOGS, RUN_FAMILY, log_group
from infra.parts import RUN
from privacy_assets.governed import PROJECT
from privacy_assets.tasks import task_tags
from resources import settings
from tests.house import client

SETTINGS = {
    "DAGSTER_RUN_TASK": RUN_FAMILY,
    settings.SHARDS.name: "ecs",
    settings.RUN_ROLES.name: "arn:aws:iam::123456789012:role/privacy-run-",
}
"""As the tasks of ``infra/compute.py`` have them."""
CODE = ReconstructableRepository(ModuleCodePointer("privacy_assets.definitions", "defs", str(PROJECT)))


class Tasks:
    """A cluster with the family that runs are, and one task that is there: of whoever asks."""

    def __init__(self) -> None:
        ec2, ecs = client("ec2"), client("ecs")
        network = ec2.create_vpc(CidrBlock="10.61.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=network, EnableDnsHostnames={"Value": True})
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.61.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(VpcId=network, GroupName="tasks", Description="tasks")["GroupId"]
        ecs.create_cluster(clusterName=CLUSTER)
        options = {
            "awslogs-group": log_group(RUN),
            "awslogs-region": "us-east-1",
            "awslogs-stream-prefix": RUN,
        }
        container = {
            "name": RUN,
            "image": "privacy-assets",
            "essential": True,
            "cpu": 512,
            "memory": 1024,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }
        ecs.register_task_definition(
            family=RUN_FAMILY,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="512",
            memory="1024",
            containerDefinitions=[container],
        )
        (task,) = ecs.run_task(
            cluster=CLUSTER,
            taskDefinition=RUN_FAMILY,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}},
        )["tasks"]
        self.arn: str = task["taskArn"]
        self._logs = client("logs")
        self._logs.create_log_group(logGroupName=log_group(RUN))
        client("s3").create_bucket(Bucket=DAGSTER_LOGS)
        self._folder = tempfile.mkdtemp(prefix="logs-")

    @contextmanager
    def instance(self) -> Iterator[tuple[dg.DagsterInstance, EcsRunLauncher]]:
        """An instance with the launcher that is deployed, in a process that has looked nothing up yet."""
        boto3.setup_default_session()
        kept = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())["run_launcher"]
        given = {"run_launcher": kept}
        with told(self.arn), patch.dict(os.environ, SETTINGS), instance_for_test(given) as found:
            launcher = found.run_launcher
            assert isinstance(launcher, EcsRunLauncher)
            yield found, launcher

    def look(self) -> None:
        """Whoever has an instance has its launcher, which looks for the family."""
        boto3.setup_default_session()
        EcsRunLauncher(**{**_deployed("run_launcher"), "task_definition": RUN_FAMILY})

    def _manager(self) -> S3ComputeLogManager:
        boto3.setup_default_session()
        config = _deployed("compute_logs")
        return S3ComputeLogManager(
            **{**config, "bucket": DAGSTER_LOGS, "region": "us-east-1", "local_dir": self._folder}
        )

    def write_log(self) -> None:
        """What a step or a tick says is kept."""
        with self._manager().open_log_stream(["ticks", "one"], ComputeIOType.STDERR) as stream:
            assert stream is not None
            stream.write("said")

    def read_logs(self) -> None:
        """The page of a run or of a tick shows what it said, that of a backfill looks for what there is."""
        manager = self._manager()
        assert manager.get_log_data(["ticks", "one"]).stderr == b"said"
        assert manager.get_log_keys_for_log_key_prefix(["ticks"], ComputeIOType.STDERR) == [["ticks", "one"]]

    def launch(self, job: str) -> None:
        """A run is launched, looked after and cancelled; what a dead one said is read."""
        with self.instance() as (instance, launcher):
            run = _run(instance, job)
            launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
            arn = self._looked_after(instance, launcher, run)
            stream = f"{RUN}/{RUN}/{arn.rpartition('/')[2]}"
            self._logs.create_log_stream(logGroupName=log_group(RUN), logStreamName=stream)
            assert get_task_logs(launcher.ecs, launcher.logs, CLUSTER, arn, RUN) == []

    def cancel(self, job: str) -> None:
        """A run that somebody else has launched is cancelled."""
        with self.instance() as (instance, launcher):
            run = _run(instance, job)
            instance.add_run_tags(run.run_id, {"ecs/task_arn": self.arn, "ecs/cluster": CLUSTER})
            self._looked_after(instance, launcher, run)

    def _looked_after(
        self, instance: dg.DagsterInstance, launcher: EcsRunLauncher, run: dg.DagsterRun
    ) -> str:
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert launcher.check_run_worker_health(found).status == WorkerStatus.RUNNING
        assert launcher.terminate(run.run_id)
        return found.tags["ecs/task_arn"]

    def shard(self, job: str) -> None:
        """A run starts a step as a task, looks after it and stops it."""
        with self.instance() as (instance, _):
            run, code = _run(instance, job), ReconstructableJob(CODE, job)
            plan = create_execution_plan(code)
            manager = PlanOrchestrationContextManager(
                orchestration_context_event_generator, code, plan, {}, run, instance
            )
            list(manager.prepare_context())
            context = manager.get_context()
            assert isinstance(context.executor, StepDelegatingExecutor)
            step, handler = plan.get_all_steps_by_level()[0][0], context.executor._step_handler
            arguments = ExecuteStepArgs(
                job_origin=code.get_python_origin(),
                run_id=run.run_id,
                step_keys_to_execute=[step.key],
                instance_ref=instance.get_ref(),
                known_state=KnownExecutionState(),
            )
            one = StepHandlerContext(instance, context, [step], arguments, run)
            assert len(list(handler.launch_step(one))) == 1
            assert handler.check_step_health(one).is_healthy
            handler.terminate_step(one)


def _deployed(part: str) -> dict[str, Any]:
    """The configuration of a part of ``deploy/dagster.yaml``."""
    document = yaml.safe_load((PROJECT / "deploy" / "dagster.yaml").read_text())
    return dict(document[part]["config"])


def _run(instance: dg.DagsterInstance, job: str) -> dg.DagsterRun:
    """A run that waits to be launched."""
    code = ReconstructableJob(CODE, job)
    origin = code.get_python_origin()
    return instance.create_run_for_job(code.get_definition(), tags=task_tags(job), job_code_origin=origin)


@contextmanager
def told(arn: str) -> Iterator[None]:
    """What ECS tells a task of itself, by HTTP within it (task metadata endpoint, version 4)."""
    answers: Mapping[str, Any] = {"/task": {"Cluster": CLUSTER, "TaskARN": arn}, "/": {"Name": RUN}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path]).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with patch.dict(os.environ, ECS_CONTAINER_METADATA_URI_V4=f"http://127.0.0.1:{server.server_port}"):
            yield
    finally:
        server.shutdown()
        server.server_close()
