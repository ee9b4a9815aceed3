import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('runs', '0011_route_board'),
    ]

    operations = [
        migrations.CreateModel(
            name='Summary',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('through', models.IntegerField()),
                ('turn', models.IntegerField()),
                ('codec', models.SmallIntegerField()),
                ('data', models.BinaryField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('conversation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='summaries', to='runs.conversation')),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='runs.run')),
            ],
            options={
                'db_table': 'summary',
                'indexes': [models.Index(models.F('conversation'), models.OrderBy(models.F('through'), descending=True), models.OrderBy(models.F('id'), descending=True), name='summary_last')],
            },
        ),
    ]
