from django.db import migrations

EVERYTHING = ["runs:read", "runs:respond", "runs:write", "runs:operate", "audit:read"]


def take_over(apps, schema_editor):
    """Tokens from before they had scopes go on doing what they did."""
    ApiToken = apps.get_model("accounts", "ApiToken")
    for old in apps.get_model("knox", "AuthToken").objects.iterator():
        new = ApiToken(
            digest=old.digest, token_key=old.token_key, user_id=old.user_id, expiry=old.expiry,
            name="from before tokens had names", scopes=EVERYTHING,
        )
        new.save(force_insert=True)
        ApiToken.objects.filter(digest=old.digest).update(created=old.created)
        # In one place only, so that a token that is revoked there is nowhere else.
        old.delete()


def let_go(apps, schema_editor):
    """Nothing reads or empties knox's own table any more, so it must hold no one to their row."""
    with schema_editor.connection.cursor() as cursor:
        constraints = schema_editor.connection.introspection.get_constraints(
            cursor, "knox_authtoken"
        )
    for name, found in constraints.items():
        if found["foreign_key"]:
            quoted = schema_editor.quote_name(name)
            schema_editor.execute(f"ALTER TABLE knox_authtoken DROP CONSTRAINT {quoted}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_tokens"), ("knox", "0009_extend_authtoken_field")]
    # Rows cannot move in the transaction that alters their table.
    atomic = False
    operations = [
        migrations.RunPython(take_over, migrations.RunPython.noop, atomic=True),
        migrations.RunPython(let_go, migrations.RunPython.noop, atomic=True),
    ]
