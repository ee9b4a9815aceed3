from django.core.management import call_command
from django.db import migrations


def make(apps, schema_editor):
    """The table of Django's cache; it is no model."""
    call_command("createcachetable", "web_cache", database=schema_editor.connection.alias, verbosity=0)


def drop(apps, schema_editor):
    schema_editor.execute("DROP TABLE IF EXISTS web_cache")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_known_tokens")]
    operations = [migrations.RunPython(make, drop)]
