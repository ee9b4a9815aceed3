"""How runs look from outside, and what may be said about them."""

from runs.serializers.agents import (
    AgentListSerializer,
    AgentSerializer,
)
from runs.serializers.base import (
    AnyValue,
    BodySerializer,
    ChoiceOrNone,
    Number,
    PageQuerySerializer,
    QuerySerializer,
)
from runs.serializers.journal import (
    AttemptSerializer,
    EventPageSerializer,
    EventQuerySerializer,
    EventSerializer,
    StepDetailSerializer,
    StepErrorSerializer,
    StepListSerializer,
    StepSerializer,
    StreamQuerySerializer,
)
from runs.serializers.run import (
    RunDetailSerializer,
    RunItemsSerializer,
    RunPageSerializer,
    RunSerializer,
)
from runs.serializers.starts import (
    BatchSerializer,
    ForkSerializer,
    ReplaySerializer,
    StartSerializer,
    WaitSerializer,
)
from runs.serializers.wishes import (
    CancelSerializer,
    RetrySerializer,
    SettleSerializer,
    SignalledSerializer,
    SignalSerializer,
)

__all__ = [
    "AgentListSerializer",
    "AgentSerializer",
    "AnyValue",
    "AttemptSerializer",
    "BatchSerializer",
    "BodySerializer",
    "CancelSerializer",
    "ChoiceOrNone",
    "EventPageSerializer",
    "EventQuerySerializer",
    "EventSerializer",
    "ForkSerializer",
    "Number",
    "PageQuerySerializer",
    "QuerySerializer",
    "ReplaySerializer",
    "RetrySerializer",
    "RunDetailSerializer",
    "RunItemsSerializer",
    "RunPageSerializer",
    "RunSerializer",
    "SettleSerializer",
    "SignalSerializer",
    "SignalledSerializer",
    "StartSerializer",
    "StepDetailSerializer",
    "StepErrorSerializer",
    "StepListSerializer",
    "StepSerializer",
    "StreamQuerySerializer",
    "WaitSerializer",
]
