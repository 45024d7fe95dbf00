#!/usr/bin/env bash
# `make deploy STAGE=<name>`: what holds state first, then the image, then what runs it. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${STAGE:?name a stage of infra/stages.yaml: make deploy STAGE=production}"
export STAGE IMAGE_TAG="${IMAGE_TAG:-$(git rev-parse --short=12 HEAD)}"
read -r account region < <(infra/.venv/bin/python -c '
import sys
from infra.stages import chosen
stage = chosen(sys.argv[1])[sys.argv[1]]
print(stage.account, stage.region)' "$STAGE")
found=$(aws sts get-caller-identity --query Account --output text)
test "$found" = "$account" || { echo "logged in to account $found, expected $account of stage $STAGE"; exit 2; }
test -z "$(git status --porcelain)" || { echo "the working tree has changes, expected a commit: its name is the image's"; exit 2; }
# Pinned: a command line that is older than aws-cdk-lib refuses what it writes.
CDK_VERSION=2.1148.1
cdk() { (cd infra && npx --yes "aws-cdk@$CDK_VERSION" "$@"); }

cdk deploy "privacy-$STAGE-data" "privacy-$STAGE-messaging"
registry=$account.dkr.ecr.$region.amazonaws.com
if ! aws ecr describe-images --region "$region" --repository-name privacy-assets --image-ids "imageTag=$IMAGE_TAG" >/dev/null 2>&1; then
    aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
    docker buildx build --platform linux/amd64,linux/arm64 --provenance=true --sbom=true --push -t "$registry/privacy-assets:$IMAGE_TAG" .
fi
cdk deploy "privacy-$STAGE-compute" "privacy-$STAGE-observability"
echo "deployed $IMAGE_TAG to $STAGE; the first time: docs/production.md, The database's user"
