import datetime

import django.contrib.postgres.fields
import django.core.validators
import runs.models.routing
from django.conf import settings
from django.db import migrations, models

HELD = models.Q(("ready_at", datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC)), ("status", "queued"))

# A version of a route is never changed, whoever tries; that its author is gone may be noted.
FIXED = """
CREATE FUNCTION route_version_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.route, NEW.number, NEW.candidates, NEW.note, NEW.made_at)
       IS DISTINCT FROM (OLD.route, OLD.number, OLD.candidates, OLD.note, OLD.made_at) THEN
        RAISE EXCEPTION 'A version of a route is never changed. Add one.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER route_version_is_fixed BEFORE UPDATE ON route_version
   FOR EACH ROW EXECUTE FUNCTION route_version_is_fixed();
"""
LOOSE = """
DROP TRIGGER route_version_is_fixed ON route_version;
DROP FUNCTION route_version_is_fixed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0005_known_tokens"),
        ("runs", "0010_memory"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AgentLimit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("agent", models.CharField(max_length=200, unique=True)),
                ("max_running", models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)])),
            ],
            options={"db_table": "agent_limit"},
        ),
        migrations.AddField(
            model_name="worker",
            name="key_variables",
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.F("queue"), models.F("agent"), models.OrderBy(models.F("priority"), descending=True),
                models.F("id"), condition=HELD, name="run_held_by_agent",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                models.F("queue"), models.F("owner"), models.OrderBy(models.F("priority"), descending=True),
                models.F("id"), condition=HELD, name="run_held_by_person",
            ),
        ),
        migrations.AlterField(
            model_name="modelendpoint",
            name="key_variable",
            field=models.CharField(blank=True, help_text="Environment variable of the workers that holds the key. Never the key itself.", max_length=80, validators=[runs.models.routing.is_no_key]),
        ),
        migrations.RunSQL(FIXED, LOOSE),
    ]
