"""Audits the Python packages of an environment: the sample agent that does real work."""

from agentops.agents.dependency_audit.flow import dependency_audit
from agentops.agents.dependency_audit.policy import AuditInput, Policy

__all__ = ["AuditInput", "Policy", "dependency_audit"]
