from django.db import migrations

from agentops.accounts.roles import Role


def make_roles(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    for role in Role:
        Group.objects.get_or_create(name=role.value)


def give_staff_what_they_had(apps, schema_editor):
    """Until now whoever could open the admin looked after everybody's runs."""
    Group = apps.get_model("auth", "Group")
    User = apps.get_model("accounts", "User")
    group = Group.objects.get(name=Role.ADMINISTRATOR.value)
    for user in User.objects.filter(is_staff=True):
        user.groups.add(group)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_teams")]
    operations = [
        migrations.RunPython(make_roles, migrations.RunPython.noop),
        migrations.RunPython(give_staff_what_they_had, migrations.RunPython.noop),
    ]
