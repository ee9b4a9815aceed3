"""The published list of error codes. ``docs/reference/errors.md`` explains each one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """What an error means for the caller: HTTP status, whether to try again, what to do."""

    status: int
    retryable: bool = False
    suggestions: tuple[str, ...] = ()
    retry_after_seconds: int | None = None


CODES: dict[str, Code] = {
    # The request itself.
    "malformed_request": Code(400, suggestions=("Send one JSON value as the body.",)),
    "invalid_cursor": Code(400, suggestions=("Begin again without a cursor.",)),
    "not_authenticated": Code(401, suggestions=("Send Authorization: Bearer <token>.",)),
    "invalid_token": Code(401, suggestions=("Make a new token: POST /api/v1/tokens.",)),
    "permission_denied": Code(403),
    "person_required": Code(403, suggestions=("Sign in, or send name and password.",)),
    "not_found": Code(404),
    "method_not_allowed": Code(405),
    "not_acceptable": Code(406, suggestions=("Accept application/json.",)),
    "payload_too_large": Code(
        413, suggestions=("Put the value into a file or an object store and send its address.",)
    ),
    "unsupported_media_type": Code(415, suggestions=("Send Content-Type: application/json.",)),
    "invalid_request": Code(422, suggestions=("Correct the fields named in meta.fields.",)),
    "request_in_progress": Code(409, retryable=True, retry_after_seconds=1),
    "rate_limit_exceeded": Code(429, retryable=True, retry_after_seconds=1),
    # People.
    "too_many_tokens": Code(409, suggestions=("DELETE /api/v1/tokens/{id} revokes one.",)),
    "token_already_made": Code(409, suggestions=("DELETE /api/v1/tokens/{id}, then a new key.",)),
    "last_administrator": Code(409),
    "not_your_own": Code(403),
    "no_such_service": Code(422, suggestions=("An administrator makes service accounts.",)),
    # Policies.
    "policy_moved": Code(409, suggestions=("GET /api/v1/policies tells what holds now.",)),
    "policy_unchanged": Code(409),
    "proposal_open": Code(409, suggestions=("POST …/agree or …/refuse closes the proposal.",)),
    "needs_another_person": Code(403),
    "reason_missing": Code(422),
    # Agents and runs.
    "unknown_agent": Code(404, suggestions=("GET /api/v1/agents lists the agents there are.",)),
    "invalid_input": Code(
        422, suggestions=("Correct the input at meta.path; GET /api/v1/agents has its schema.",)
    ),
    "unserialisable": Code(422, suggestions=("Send plain JSON data.",)),
    "idempotency_mismatch": Code(422, suggestions=("Use a new Idempotency-Key.",)),
    "no_such_event": Code(422, suggestions=("GET /api/v1/runs/{id}/events lists the events.",)),
    "no_runs": Code(
        422, suggestions=("GET /api/v1/runs with the same filter shows what matches.",)
    ),
    "too_many_runs": Code(422, suggestions=("Narrow the filter with created_at__gte and __lte.",)),
    "external_id_taken": Code(409, suggestions=("Send another external_id.",)),
    "nothing_to_retry": Code(409, suggestions=("A failed run is retried with what=failure.",)),
    "not_failed": Code(
        409, suggestions=("POST …/replay runs it again, POST …/fork from an event.",)
    ),
    "not_retriable": Code(409, suggestions=("POST …/replay runs it again from the start.",)),
    "run_is_final": Code(
        409, suggestions=("POST …/replay starts it anew, POST …/fork from one of its events.",)
    ),
    "run_is_busy": Code(409, retryable=True, retry_after_seconds=1),
    "not_parked": Code(409),
    "needs_settlement": Code(409, suggestions=("POST …/steps/{key}/settle says what happened.",)),
    "is_stopped": Code(409, suggestions=("POST /api/v1/stops/{id}/lift lifts the stop.",)),
    "taken_over": Code(409, retryable=True),
    "not_taken": Code(409, suggestions=("POST /api/v1/runs/{id}/take-over first.",)),
    "not_open": Code(409, suggestions=("GET /api/v1/runs/{id}/steps lists the steps.",)),
    "not_holding": Code(409, suggestions=("GET /api/v1/stops lists the stops that hold.",)),
    "second_person_needed": Code(409, suggestions=("Ask another operator to lift it, too.",)),
    "description_moved": Code(409, suggestions=("GET /api/v1/tools has the newest digest.",)),
    "not_uncertain": Code(409, suggestions=("GET /api/v1/runs/{id}/steps lists the steps.",)),
    "in_quarantine": Code(409, retryable=True),
    # Conversations.
    "conversation_busy": Code(
        409, retryable=True, suggestions=("Send it with on_conflict enqueue or interrupt.",)
    ),
    "queue_full": Code(429, retryable=True, retry_after_seconds=5),
    # Requests to people.
    "sign_in_again": Code(
        403, suggestions=("Sign in once more at /sign-in/again/, then send it again.",)
    ),
    "stale_offer": Code(409, suggestions=("GET …/grants lists what is offered now.",)),
    "not_granted": Code(409),
    "all_told": Code(409),
    "already_decided": Code(409, suggestions=("GET /api/v1/approvals/{id} says who did.",)),
    "request_changed": Code(
        409, suggestions=("GET /api/v1/approvals/{id} again; send what you read there.",)
    ),
    "too_late": Code(409),
    "already_voted": Code(409, suggestions=("POST …/withdraw takes your word back.",)),
    "may_not_decide": Code(403),
    "tampered": Code(409, suggestions=("Tell your operator. Reject it, or stop the run.",)),
    "invalid_edit": Code(422, suggestions=("Correct the arguments, or reject with a comment.",)),
    "invalid_answer": Code(422, suggestions=("Correct the field at meta.path.",)),
    # Memory.
    "memory_changed": Code(
        409, suggestions=("GET the entry again and send its present revision.",)
    ),
    "memory_exists": Code(
        409, suggestions=("GET /api/v1/memories/search finds it; PUT changes it by its id.",)
    ),
    "misuse": Code(422),
    # Us.
    "internal_error": Code(500, suggestions=("Tell your operator the error_id.",)),
    "service_unavailable": Code(503, retryable=True, retry_after_seconds=5),
}
