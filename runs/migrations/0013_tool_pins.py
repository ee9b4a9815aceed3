import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0012_summaries'),
    ]

    operations = [
        migrations.CreateModel(
            name='ToolPin',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('server', models.CharField(max_length=40)),
                ('tool', models.CharField(max_length=128)),
                ('accepted_digest', models.CharField(blank=True, default='', max_length=64)),
                ('accepted', models.TextField(default='{}')),
                ('accepted_by', models.CharField(blank=True, default='', max_length=150)),
                ('accepted_at', models.DateTimeField(null=True)),
                ('offered_digest', models.CharField(blank=True, default='', max_length=64)),
                ('offered', models.TextField(default='{}')),
                ('offered_at', models.DateTimeField(null=True)),
                ('refused_digest', models.CharField(blank=True, default='', max_length=64)),
                ('refused', models.TextField(default='{}')),
                ('refused_by', models.CharField(blank=True, default='', max_length=150)),
                ('refused_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'tool_pin',
                'constraints': [
                    models.UniqueConstraint(models.F('server'), models.F('tool'), name='tool_pin_once'),
                    models.CheckConstraint(condition=models.Q(('offered_digest', ''), models.Q(models.Q(('offered_digest', models.F('accepted_digest')), _negated=True), models.Q(('offered_digest', models.F('refused_digest')), _negated=True)), _connector='OR'), name='tool_pin_offers_news'),
                ],
            },
        ),
    ]
