"""What a rule set does on a table, before any training: where rules fire, whether they are right, and agree.

`audit` puts it all together and returns `Audit`, which a reader prints. `answers` says what labels a formula
allows, `satisfying` searches where that cannot be listed; `contradictions`, `redundancy`, `conflicts` and `votes`
ask one question each.
"""

from triune.audit.auditing import audit
from triune.audit.findings import Audit, Contradiction, Implied, RuleFigures, Votes, Wrong

__all__ = ["Audit", "Contradiction", "Implied", "RuleFigures", "Votes", "Wrong", "audit"]
