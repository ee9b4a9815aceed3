"""How PostgreSQL stores the hot tables.

Values arrive deflated or are not worth deflating, so the server need not try again. Rows of ``run``
are updated in place: room in the page keeps those updates out of the indexes.
"""

from __future__ import annotations

from django.db import migrations

_EXTERNAL = "ALTER TABLE {0} ALTER COLUMN {1} SET STORAGE EXTERNAL"
_EXTENDED = "ALTER TABLE {0} ALTER COLUMN {1} SET STORAGE EXTENDED"
_VALUES = [
    ("journal", "data"),
    ("journal", "input"),
    ("run_payload", "input"),
    ("run_payload", "output"),
    ("inbox", "data"),
    ("blob", "data"),
]


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [
        *(
            migrations.RunSQL(_EXTERNAL.format(*value), _EXTENDED.format(*value))
            for value in _VALUES
        ),
        migrations.RunSQL(
            "ALTER TABLE run SET (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02)",
            "ALTER TABLE run RESET (fillfactor, autovacuum_vacuum_scale_factor)",
        ),
    ]
