"""Reads a folder of texts and writes a digest that cites file and line."""

from agentops.agents.research_digest.flow import Digest, DigestInput, research_digest
from agentops.agents.research_digest.summary import research_summary

__all__ = ["Digest", "DigestInput", "research_digest", "research_summary"]
