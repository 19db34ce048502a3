"""Who runs, and what for."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional


@dataclass
class AgentInfo:
    """The agent. A dict with the same keys does as well."""
    name: str
    version: Optional[str] = None
    framework: Optional[str] = None
    framework_version: Optional[str] = None


@dataclass
class TaskInfo:
    """What it was asked to do."""
    description: Optional[str] = None
    goal: Optional[str] = None
    input: Optional[Dict[str, Any]] = None
