"""The stack of what people look at: a dashboard, alarms, a budget.

Each alarm has its section in docs/runbooks.md.
"""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from infra.compute import ComputeStack
from infra.declared import Declared
from infra.names import CLUSTER
from infra.parts import SERVICES
from resources.measures import MEASURES, NAMESPACE

_ALB, _RDS = "AWS/ApplicationELB", "AWS/RDS"


@dataclass(frozen=True)
class Alarm:
    """When somebody must look, and where it is written what to do."""

    name: str
    runbook: str
    namespace: str
    metric: str
    dimensions: dict[str, str]
    threshold: float
    statistic: str = "Maximum"
    period: int = 300
    periods: int = 1
    missing: str = "notBreaching"


class ObservabilityStack(cdk.Stack):
    """The dashboard and the alarms of one stage."""

    def __init__(
        self, scope: Construct, name: str, declared: Declared, compute: ComputeStack, **rest: object
    ) -> None:
        super().__init__(scope, name, **rest)
        self.declared, self.compute = declared, compute
        self.topic = declared.stage.place.arn("sns", declared.names.topic)
        self.alarms = [*self._queues(), *self._health(), *self._services()]
        for alarm in self.alarms:
            self._make(alarm)
        self._dashboard()
        self._budget()

    def _queues(self) -> list[Alarm]:
        """Whatever is in a queue of dead letters is for a person; all else must not grow old."""
        targets = {
            each.shape["dead letters"]["queue"].rpartition(":")[2]
            for each in self.declared.resources
            if each.kind == "queue" and each.shape.get("dead letters")
        }
        pipes = {
            each.shape["dead letters"].rpartition(":")[2]
            for each in self.declared.resources
            if each.kind == "pipe"
        }
        aged = {each.shape["metric"][2] for each in self.declared.resources if each.kind == "alarm"}
        dead = sorted(targets | pipes)
        waiting = sorted(set(self.declared.of("queue")) - targets - pipes - aged)
        return [
            *(
                Alarm(
                    f"{queue}-not-empty",
                    "Dead letters",
                    "AWS/SQS",
                    "ApproximateNumberOfMessagesVisible",
                    {"QueueName": queue},
                    1,
                )
                for queue in dead
            ),
            *(
                Alarm(
                    f"{queue}-age",
                    "Queues",
                    "AWS/SQS",
                    "ApproximateAgeOfOldestMessage",
                    {"QueueName": queue},
                    24 * 3600,
                )
                for queue in waiting
            ),
        ]

    def _health(self) -> list[Alarm]:
        """What Dagster says of itself; when it says nothing, that is the alarm."""
        return [
            Alarm(
                f"privacy-{measure.name}",
                measure.runbook,
                NAMESPACE,
                measure.name,
                {},
                1,
                period=900,
                periods=2,
                missing="breaching",
            )
            for measure in MEASURES
        ]

    def _services(self) -> list[Alarm]:
        balancer = {"LoadBalancer": self.compute.balancer.load_balancer_full_name}
        api = {**balancer, "TargetGroup": self.compute.targets["api"].target_group_full_name}
        database = {"DBInstanceIdentifier": self.compute.database.instance_identifier}
        running = [
            Alarm(
                f"privacy-{part}-not-running",
                "Services",
                "ECS/ContainerInsights",
                "RunningTaskCount",
                {"ClusterName": CLUSTER, "ServiceName": part},
                1,
                statistic="Minimum",
                periods=3,
                missing="breaching",
            )
            for part in SERVICES
        ]
        return [
            *running,
            Alarm(
                "privacy-api-5xx", "API", "AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", api, 10, "Sum"
            ),
            Alarm(
                "privacy-api-p99", "API", "AWS/ApplicationELB", "TargetResponseTime", api, 2, "p99", periods=3
            ),
            Alarm(
                "privacy-database-cpu",
                "Database",
                "AWS/RDS",
                "CPUUtilization",
                database,
                90,
                "Average",
                periods=3,
            ),
            Alarm("privacy-database-connections", "Database", _RDS, "DatabaseConnections", database, 300),
        ]

    def _make(self, alarm: Alarm) -> None:
        percentile = alarm.statistic.startswith("p")
        below = alarm.metric == "RunningTaskCount"
        cloudwatch.CfnAlarm(
            self,
            "".join(word.capitalize() for word in alarm.name.replace("_", "-").split("-")),
            alarm_name=alarm.name,
            alarm_description=f"docs/runbooks.md, {alarm.runbook}",
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=[
                cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                for name, value in alarm.dimensions.items()
            ],
            statistic=None if percentile else alarm.statistic,
            extended_statistic=alarm.statistic if percentile else None,
            period=alarm.period,
            evaluation_periods=alarm.periods,
            threshold=alarm.threshold,
            comparison_operator="LessThanThreshold" if below else "GreaterThanOrEqualToThreshold",
            treat_missing_data=alarm.missing,
            alarm_actions=[self.topic],
            ok_actions=[self.topic],
        )

    def _dashboard(self) -> None:
        board = cloudwatch.Dashboard(self, "Board", dashboard_name="privacy-assets")

        def graph(title: str, metrics: list[cloudwatch.Metric]) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(metrics), width=12)

        def queue(metric: str) -> list[cloudwatch.Metric]:
            return [
                cloudwatch.Metric(
                    namespace="AWS/SQS",
                    metric_name=metric,
                    dimensions_map={"QueueName": name},
                    statistic="Maximum",
                    label=name,
                )
                for name in self.declared.of("queue")
            ]

        api = {
            "LoadBalancer": self.compute.balancer.load_balancer_full_name,
            "TargetGroup": self.compute.targets["api"].target_group_full_name,
        }

        def target(metric: str, statistic: str) -> cloudwatch.Metric:
            return cloudwatch.Metric(
                namespace="AWS/ApplicationELB", metric_name=metric, dimensions_map=api, statistic=statistic
            )

        board.add_widgets(
            graph(
                "What is wrong, by Dagster",
                [
                    cloudwatch.Metric(
                        namespace=NAMESPACE, metric_name=each.name, statistic="Maximum", label=each.meaning
                    )
                    for each in MEASURES
                ],
            ),
            graph("API", [target("RequestCount", "Sum"), target("HTTPCode_Target_5XX_Count", "Sum")]),
            graph("Queues: age of the oldest message", queue("ApproximateAgeOfOldestMessage")),
            graph("Queues: messages", queue("ApproximateNumberOfMessagesVisible")),
            graph("API: response time", [target("TargetResponseTime", p) for p in ("p50", "p99")]),
            graph(
                "Athena: bytes scanned",
                [
                    cloudwatch.Metric(
                        namespace="AWS/Athena",
                        metric_name="ProcessedBytes",
                        dimensions_map={"WorkGroup": self.declared.names.workgroup},
                        statistic="Sum",
                    )
                ],
            ),
        )

    def _budget(self) -> None:
        stage = self.declared.stage
        people = [
            budgets.CfnBudget.SubscriberProperty(address=self.topic, subscription_type="SNS"),
        ]
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_name="privacy-assets",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=stage.monthly_budget, unit="USD"),
                cost_filters={"TagKeyValue": ["user:application$privacy-assets"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        notification_type=kind,
                        comparison_operator="GREATER_THAN",
                        threshold=threshold,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=people,
                )
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )
