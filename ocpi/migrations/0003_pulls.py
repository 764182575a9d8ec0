"""Pulls: what was fetched from whom, how far, and what came that could not be kept."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("ocpi", "0002_sql")]

    operations = [
        migrations.AddField(
            model_name='platform',
            name='failing_since',
            field=models.DateTimeField(blank=True, help_text='the first of these failures', null=True),
        ),
        migrations.CreateModel(
            name='PullCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('module', models.CharField(max_length=50)),
                ('to_country_code', models.CharField(blank=True, max_length=2)),
                ('to_party_id', models.CharField(blank=True, max_length=3)),
                ('from_country_code', models.CharField(blank=True, max_length=2)),
                ('from_party_id', models.CharField(blank=True, max_length=3)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('full_due_at', models.DateTimeField(blank=True, help_text='of the nightly comparison', null=True)),
                ('full_wanted', models.BooleanField(db_default=False, default=False, help_text='the next one is a full one')),
                ('date_from', models.DateTimeField(blank=True, help_text='of the next delta; empty = nothing complete yet', null=True)),
                ('recover_from', models.DateTimeField(blank=True, help_text='start of an outage, less five minutes', null=True)),
                ('kind', models.CharField(blank=True, choices=[('FULL', 'everything; what it does not hold is no longer valid (TRN-106)'), ('DELTA', 'what changed since the last complete one, and five minutes more (PIT-59)'), ('RECOVERY', 'what changed since an outage began (TRN-121)'), ('SINCE', 'what changed since a moment an operator named')], max_length=8)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('crawl_from', models.DateTimeField(blank=True, help_text='its date_from', null=True)),
                ('page_url', models.TextField(blank=True, help_text='the next page of an unfinished pull')),
                ('former_url', models.TextField(blank=True, editable=False)),
                ('total', models.PositiveBigIntegerField(blank=True, help_text='X-Total-Count of the last page', null=True)),
                ('repeats', models.PositiveIntegerField(db_default=0, default=0, help_text='pages read again as the total fell')),
                ('pages', models.PositiveIntegerField(db_default=0, default=0)),
                ('read', models.PositiveIntegerField(db_default=0, default=0)),
                ('created', models.PositiveIntegerField(db_default=0, default=0)),
                ('updated', models.PositiveIntegerField(db_default=0, default=0)),
                ('unchanged', models.PositiveIntegerField(db_default=0, default=0, help_text='known already, or older than ours')),
                ('refused', models.PositiveIntegerField(db_default=0, default=0, help_text='invalid, kept for inspection')),
                ('ignored', models.PositiveIntegerField(db_default=0, default=0, help_text='of somebody it may not speak for')),
                ('removed', models.PositiveIntegerField(db_default=0, default=0, help_text='no longer in its list')),
                ('differences', models.PositiveIntegerField(db_default=0, default=0, help_text='repaired: we should have had them already')),
                ('result', models.CharField(blank=True, choices=[('', 'not yet'), ('DONE', 'every page came'), ('FAILED', 'it is tried again, from the page it failed at'), ('WAITING', 'the platform asked us to slow down (HTTP 429)')], max_length=8)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('failures', models.PositiveIntegerField(db_default=0, default=0, help_text='in a row')),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('succeeded_at', models.DateTimeField(blank=True, null=True)),
                ('claim', models.UUIDField(blank=True, editable=False, null=True)),
                ('claimed_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('platform', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pulls', to='ocpi.platform')),
            ],
            options={
                'verbose_name': 'pull',
            },
        ),
        migrations.CreateModel(
            name='PulledInvalid',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('module', models.CharField(max_length=50)),
                ('key', models.CharField(help_text='owner and id, as far as it names them', max_length=120)),
                ('field', models.CharField(blank=True, max_length=200)),
                ('reason', models.CharField(max_length=1000)),
                ('document', models.TextField(help_text='as it came')),
                ('request_id', models.CharField(max_length=255)),
                ('times', models.PositiveIntegerField(db_default=1, default=1, help_text='how often it came')),
                ('first_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('last_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('platform', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='ocpi.platform')),
            ],
            options={
                'verbose_name': 'invalid pulled object',
            },
        ),
        migrations.CreateModel(
            name='PullSeen',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=120)),
                ('cursor', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='ocpi.pullcursor')),
            ],
        ),
        migrations.AddIndex(
            model_name='pullcursor',
            index=models.Index(models.F('due_at'), name='pull_cursor_due'),
        ),
        migrations.AddConstraint(
            model_name='pullcursor',
            constraint=models.UniqueConstraint(fields=('platform', 'module', 'to_country_code', 'to_party_id', 'from_country_code', 'from_party_id'), name='one_pull_cursor_per_list'),
        ),
        migrations.AddConstraint(
            model_name='pullcursor',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('claim', None), ('claimed_until', None)), models.Q(('claim__isnull', False), ('claimed_until__isnull', False)), _connector='OR'), name='pull_claim_has_an_end'),
        ),
        migrations.AddIndex(
            model_name='pulledinvalid',
            index=models.Index(models.F('last_at'), name='pulled_invalid_age'),
        ),
        migrations.AddConstraint(
            model_name='pulledinvalid',
            constraint=models.UniqueConstraint(fields=('platform', 'module', 'key'), name='pulled_invalid_once'),
        ),
        migrations.AddConstraint(
            model_name='pullseen',
            constraint=models.UniqueConstraint(fields=('cursor', 'key'), name='pull_seen_once'),
        ),
    ]
