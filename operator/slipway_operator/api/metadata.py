"""Names, labels and annotations that Slipway reads or writes."""

from typing import Final

GROUP: Final = "slipway.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER: Final = "slipway"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "slipway"
MODELDEPLOYMENT_LABEL: Final = f"{GROUP}/modeldeployment"
REVISION_LABEL: Final = f"{GROUP}/revision"
ROLLOUT_ANNOTATION: Final = f"{GROUP}/rollout"
"""What people tell a rollout: a verb and, to say it again, anything else behind it."""

EXPERIMENT_ANNOTATION: Final = f"{GROUP}/experiment"
"""What people tell an experiment: promote <arm>, or rollback, and, to say it again, anything else behind it."""

APPROVE_ANNOTATION: Final = f"{GROUP}/approve"
"""The digest of the promotion that somebody consents to."""

ROUTER_LABEL: Final = f"{GROUP}/router"
"""Which router: on its pods, and on the tables that it is to follow."""

DEDICATED_ROUTER_LABEL: Final = f"{GROUP}/dedicated-router"
"""On a table: the router of its ModelDeployment's own that is to follow it too. The shared one always does, so that requests can go either way."""

TOKENS_ANNOTATION: Final = f"{GROUP}/tokens"
"""On a router of a ModelDeployment's own: the Secret whose tokens its pods have mounted."""

MAX_NAME_LENGTH: Final = 39
"""Of a ModelDeployment: its InferenceServices are named <name>-<8 hex digits>."""

NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""Of a ModelDeployment: a Service has its name, and a Service's name begins with a letter."""

REVISION_HASH_LENGTH: Final = 8

MAX_REVISION_AND_NAMESPACE_LENGTH: Final = 52
"""KServe labels pods with names made of both; past this length its pods are refused and it says nothing."""
