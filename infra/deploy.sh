#!/usr/bin/env bash
# `make deploy STAGE=<name>`: what holds state first, then the image, then what runs it. Safe to run again.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
: "${STAGE:?name a stage of infra/stages.yaml: make deploy STAGE=production}"
export STAGE IMAGE_TAG="${IMAGE_TAG:-$(git rev-parse --short=12 HEAD)}"
read -r account region < <(infra/.venv/bin/python -c '
import sys
from infra.stages import chosen
stage = chosen(sys.argv[1])[sys.argv[1]]
print(stage.account, stage.region)' "$STAGE")
export AWS_REGION=$region AWS_DEFAULT_REGION=$region
found=$(aws sts get-caller-identity --query Account --output text)
test "$found" = "$account" || { echo "logged in to account $found, expected $account of stage $STAGE"; exit 2; }
test -z "$(git status --porcelain)" || { echo "the working tree has changes, expected a commit: its name is the image's"; exit 2; }
# Pinned: a command line that is older than aws-cdk-lib refuses what it writes.
CDK_VERSION=2.1148.1

# deploy PART [ARGUMENT…]: one stack. Where its creation stopped it goes on: undone, what holds state would stay
# without its stack and be in the way of the next one.
deploy() {
    local stack="privacy-$STAGE-$1" status
    shift
    status=$(aws cloudformation describe-stacks --query "Stacks[?StackName=='$stack'].StackStatus" --output text)
    case $status in
        "" | REVIEW_IN_PROGRESS | CREATE_FAILED | UPDATE_FAILED) set -- --no-rollback "$@" ;;
    esac
    (cd infra && npx --yes "aws-cdk@$CDK_VERSION" deploy --exclusively "$stack" "$@")
}

# How many tasks the services are to have: none while a first deployment has not got so far.
wanted() {
    local clusters
    clusters=$(aws ecs describe-clusters --clusters privacy-assets --query "length(clusters[?status=='ACTIVE'])" --output text)
    if test "$clusters" = 0; then
        echo 0
    else
        aws ecs describe-services --cluster privacy-assets --services webserver auditors daemon code api \
            --query 'sum(services[].desiredCount)' --output text
    fi
}

# The task that makes the user whom Dagster signs in to its database as; where there is one it changes nothing.
make_user() {
    local network task code reason
    network=$(aws ecs describe-services --cluster privacy-assets --services daemon \
        --query 'services[0].networkConfiguration' --output json)
    task=$(aws ecs run-task --cluster privacy-assets --launch-type FARGATE --network-configuration "$network" \
        --task-definition privacy-database --query 'tasks[0].taskArn' --output text)
    if test "$task" != None; then
        aws ecs wait tasks-stopped --cluster privacy-assets --tasks "$task" || true # its state is looked at
        read -r code reason < <(aws ecs describe-tasks --cluster privacy-assets --tasks "$task" \
            --query 'tasks[0].[containers[0].exitCode, stoppedReason]' --output text) || true
    fi
    test "${code:-none}" = 0 || {
        echo "the task privacy-database did not make the database's user: exit code ${code:-none}, ${reason:-not started};" \
            "see the log group /privacy-assets/database, then make deploy again"
        exit 1
    }
}

deploy data
deploy messaging
registry=$account.dkr.ecr.$region.amazonaws.com
if ! aws ecr describe-images --repository-name privacy-assets --image-ids "imageTag=$IMAGE_TAG" >/dev/null 2>&1; then
    aws ecr get-login-password | docker login --username AWS --password-stdin "$registry"
    docker buildx build --platform linux/amd64,linux/arm64 --provenance=true --sbom=true --push -t "$registry/privacy-assets:$IMAGE_TAG" .
fi
# Services get healthy when their database has its user, and the stack is done when they are.
tasks=$(wanted)
if test "$tasks" = 0; then
    deploy compute -c services=none
    make_user
fi
deploy compute
deploy observability
echo "deployed $IMAGE_TAG to $STAGE"
