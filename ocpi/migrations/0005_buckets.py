"""Counts of documents by the time they changed, so that a filtered list knows its total."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0004_deviations")]

    operations = [
        migrations.CreateModel(
            name='ObjectBlock',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('relation', models.CharField(max_length=63)),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('block', models.BigIntegerField()),
                ('amount', models.BigIntegerField()),
                ('first', models.BigIntegerField()),
                ('last', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='ObjectBucket',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('relation', models.CharField(max_length=63)),
                ('scope', models.CharField(blank=True, max_length=100)),
                ('level', models.SmallIntegerField()),
                ('start', models.BigIntegerField(help_text='in units of the level, since 1970')),
                ('amount', models.BigIntegerField()),
            ],
        ),
        migrations.RemoveIndex(
            model_name='objectcount',
            name='object_count_by_scope',
        ),
        migrations.AddField(
            model_name='objectcount',
            name='block',
            field=models.BigIntegerField(db_default=0, default=0, help_text='of ids'),
        ),
        migrations.AddField(
            model_name='objectcount',
            name='second',
            field=models.BigIntegerField(db_default=0, default=0, help_text="since 1970, of the row's last change"),
        ),
        migrations.AddIndex(
            model_name='objectcount',
            index=models.Index(models.F('relation'), models.F('scope'), include=('amount', 'second', 'block'), name='object_count_by_scope'),
        ),
        migrations.AddIndex(
            model_name='objectblock',
            index=models.Index(models.F('id'), condition=models.Q(('amount', 0)), name='object_block_empty'),
        ),
        migrations.AddConstraint(
            model_name='objectblock',
            constraint=models.UniqueConstraint(fields=('relation', 'scope', 'block'), include=('amount', 'first', 'last'), name='object_block_once'),
        ),
        migrations.AddIndex(
            model_name='objectbucket',
            index=models.Index(models.F('id'), condition=models.Q(('amount', 0)), name='object_bucket_empty'),
        ),
        migrations.AddConstraint(
            model_name='objectbucket',
            constraint=models.UniqueConstraint(fields=('relation', 'scope', 'level', 'start'), include=('amount',), name='object_bucket_once'),
        ),
    ]
