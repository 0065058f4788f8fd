"""The audit bus: what was decided, when, of which symbol and why.

``audit_bus`` is the one of this process. To log an event costs a hot path about a microsecond: it is put into memory,
and a thread of each sink writes it away.
"""

from aione.audit.bus import AuditBus, audit_bus
from aione.audit.record import AuditEvent
from aione.audit.sink import Sink, SinkStats

__all__ = ["AuditBus", "AuditEvent", "Sink", "SinkStats", "audit_bus"]
