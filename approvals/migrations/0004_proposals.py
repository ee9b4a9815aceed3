import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# A version of a policy is never changed, whoever tries; that its author is gone may be noted.
FIXED = """
CREATE FUNCTION policy_version_is_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.team_id, NEW.number, NEW.rules, NEW.unmatched, NEW.note, NEW.made_at)
       IS DISTINCT FROM
       (OLD.team_id, OLD.number, OLD.rules, OLD.unmatched, OLD.note, OLD.made_at) THEN
        RAISE EXCEPTION 'A version of a policy is never changed. Add one.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER policy_version_is_fixed BEFORE UPDATE ON policy_version
   FOR EACH ROW EXECUTE FUNCTION policy_version_is_fixed();
"""
LOOSE = """
DROP TRIGGER policy_version_is_fixed ON policy_version;
DROP FUNCTION policy_version_is_fixed();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_made_once'),
        ('approvals', '0003_records_stay'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(FIXED, LOOSE),
        migrations.CreateModel(
            name='PolicyProposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('based_on', models.PositiveIntegerField()),
                ('rules', models.JSONField()),
                ('unmatched', models.CharField(choices=[('allow', 'The agent may.'), ('ask', 'A person decides.'), ('deny', 'The agent must not.')], default='ask', max_length=5)),
                ('note', models.CharField(max_length=200)),
                ('widens', models.JSONField(default=list)),
                ('made_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('closed_at', models.DateTimeField(null=True)),
                ('became', models.OneToOneField(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='proposal', to='approvals.policyversion')),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('made_by', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.team')),
            ],
            options={
                'db_table': 'policy_proposal',
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('team',), name='policy_proposal_one_open', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('became__isnull', True), models.Q(('closed_by', models.F('made_by')), _negated=True), _connector='OR'), name='policy_proposal_takes_two')],
            },
        ),
    ]
