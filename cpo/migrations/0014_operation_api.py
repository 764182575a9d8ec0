"""What the operation API keeps, and what an operation says of itself beside its state."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("cpo", "0013_devices"),
    ]

    operations = [
        # Ids of what charge points report on our request (OCPP-83): signed 32-bit numbers, far from the keys of jobs.
        migrations.RunSQL(
            "CREATE SEQUENCE ocpp_request_id AS integer MINVALUE 1000000000 CYCLE;", "DROP SEQUENCE ocpp_request_id;"
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='who or what uses it', max_length=100)),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('ending', models.CharField(editable=False, help_text='its last characters, to recognise it', max_length=4)),
                ('country_code', models.CharField(blank=True, help_text='of the tenant; empty: every tenant', max_length=2)),
                ('party_id', models.CharField(blank=True, max_length=3)),
                ('scopes', models.JSONField(default=list, help_text='read, operate, manage')),
                ('created_by', models.CharField(blank=True, max_length=150)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'API token',
            },
        ),
        migrations.AddField(
            model_name='operation',
            name='effect',
            field=models.CharField(blank=True, db_default='', default='', max_length=8),
        ),
        migrations.AddField(
            model_name='operation',
            name='on_wire_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='operation',
            name='protocol',
            field=models.CharField(blank=True, db_default='', default='', max_length=8),
        ),
        migrations.AddField(
            model_name='operation',
            name='refs',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='location',
            field=models.ForeignKey(help_text="none: the tenant's own, made over the operation API; it has no Session", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='cpo.location'),
        ),
        migrations.CreateModel(
            name='ChargingProfileTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('description', models.CharField(max_length=100)),
                ('document', models.TextField(help_text='purpose, kind, unit, periods …: JSON as it came')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('country_code', 'party_id', 'description'), name='cpo_template_description_once')],
            },
        ),
        migrations.CreateModel(
            name='IdTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('id_tag', models.CharField(max_length=36)),
                ('status', models.CharField(choices=[('valid', 'Valid'), ('blocked', 'Blocked')], default='valid', max_length=7)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('parent_id_tag', models.CharField(blank=True, max_length=36)),
                ('max_transactions', models.PositiveIntegerField(default=1, help_text='open at once; 0: any number')),
                ('note', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name': 'id tag of our own',
                'verbose_name_plural': 'id tags of our own',
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Upper('id_tag'), django.db.models.functions.text.Upper('country_code'), django.db.models.functions.text.Upper('party_id'), name='cpo_id_tag_once_per_tenant')],
            },
        ),
        migrations.CreateModel(
            name='Report',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(help_text='of its parts', max_length=64)),
                ('request_id', models.BigIntegerField(help_text='none: nobody asked for it', null=True)),
                ('state', models.CharField(choices=[('WAITING', 'Waiting'), ('PARTIAL', 'Partial'), ('COMPLETE', 'Complete'), ('OVERDUE', 'Overdue')], default='WAITING', max_length=8)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('due_at', models.DateTimeField(help_text='the next part is overdue then')),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reports', to='cpo.chargepoint')),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='reports', to='cpo.operation')),
            ],
        ),
        migrations.CreateModel(
            name='ReportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='seqNo, or its place where the message has none')),
                ('last', models.BooleanField(help_text='tbc is absent or false')),
                ('received_at', models.DateTimeField()),
                ('payload', models.TextField()),
                ('report', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='cpo.report')),
            ],
        ),
        migrations.AddIndex(
            model_name='report',
            index=models.Index(fields=['charge_point', '-created_at'], name='cpo_report_newest'),
        ),
        migrations.AddIndex(
            model_name='report',
            index=models.Index(models.F('due_at'), condition=models.Q(('state__in', ('WAITING', 'PARTIAL'))), name='cpo_report_open'),
        ),
        migrations.AddConstraint(
            model_name='report',
            constraint=models.UniqueConstraint(condition=models.Q(('request_id__isnull', False)), fields=('charge_point', 'action', 'request_id'), name='cpo_report_once'),
        ),
        migrations.AddConstraint(
            model_name='reportpart',
            constraint=models.UniqueConstraint(fields=('report', 'number'), name='cpo_report_part_once'),
        ),
    ]
