"""Charge points as devices: boots, provisioning, certificates, firmware, logs, what they sent of their own."""
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("cpo", "0012_profile_of_a_pause"),
    ]

    operations = [
        migrations.CreateModel(
            name='DeviceFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stored_as', models.CharField(max_length=64, unique=True)),
                ('name', models.CharField(blank=True, help_text='what its sender called it; for people only', max_length=150)),
                ('size', models.BigIntegerField()),
                ('sha256', models.CharField(max_length=64)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='next_password_digest',
            field=models.CharField(blank=True, db_default='', default='', max_length=255),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='password_operation',
            field=models.UUIDField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='refuses_tls',
            field=models.BooleanField(db_default=False, default=False, help_text='profile 1 only without TLS (OCPP-04)'),
        ),
        migrations.CreateModel(
            name='CertificateAuthority',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('organisation', models.CharField(help_text='O of the certificates of its charge points', max_length=64)),
                ('certificates', models.TextField(blank=True, help_text='PEM: the root, and intermediates if there are any')),
                ('key', models.TextField(blank=True, db_default='', default='', help_text='sealed; empty: a service signs')),
                ('url', models.URLField(blank=True, db_default='', default='', help_text='of the service that signs')),
                ('token', models.TextField(blank=True, db_default='', default='', help_text='sealed; shown to the service')),
                ('days', models.PositiveIntegerField(db_default=365, default=365, help_text='that a certificate is valid')),
                ('revocation_list', models.TextField(blank=True, db_default='', default='', help_text='PEM, of the service')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'verbose_name_plural': 'certificate authorities',
                'constraints': [models.UniqueConstraint(fields=('country_code', 'party_id'), name='cpo_certificate_authority_once')],
            },
        ),
        migrations.CreateModel(
            name='DeviceJob',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('FIRMWARE', 'Firmware'), ('LOG', 'Log'), ('SECURITY_LOG', 'Security Log'), ('DIAGNOSTICS', 'Diagnostics')], max_length=12)),
                ('state', models.CharField(choices=[('WAITING', 'WAITING'), ('ASKED', 'ASKED'), ('RUNNING', 'RUNNING'), ('DONE', 'DONE'), ('FAILED', 'FAILED'), ('CANCELLED', 'CANCELLED')], max_length=9)),
                ('status', models.CharField(blank=True, db_default='', default='', help_text="OCPP's, the newest", max_length=40)),
                ('filename', models.CharField(blank=True, db_default='', default='', help_text='announced', max_length=255)),
                ('error', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('asked_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='device_jobs', to='cpo.chargepoint')),
                ('file', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.devicefile')),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.operation')),
            ],
        ),
        migrations.CreateModel(
            name='DeviceJobStatus',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('status', models.CharField(max_length=40)),
                ('at', models.DateTimeField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='history', to='cpo.devicejob')),
            ],
        ),
        migrations.CreateModel(
            name='FirmwareImage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('name', models.CharField(max_length=100)),
                ('version', models.CharField(help_text='what the charge point reports after the update', max_length=50)),
                ('vendor', models.CharField(blank=True, db_default='', default='', help_text='empty: any', max_length=50)),
                ('model', models.CharField(blank=True, db_default='', default='', help_text='empty: any', max_length=50)),
                ('url', models.CharField(blank=True, db_default='', default='', help_text='if it lies elsewhere', max_length=512)),
                ('signature', models.CharField(blank=True, db_default='', default='', help_text='Base64', max_length=800)),
                ('signing_certificate', models.TextField(blank=True, db_default='', default='', help_text='PEM')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('file', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='images', to='cpo.devicefile')),
            ],
        ),
        migrations.AddField(
            model_name='devicejob',
            name='image',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='jobs', to='cpo.firmwareimage'),
        ),
        migrations.CreateModel(
            name='InstalledCertificate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=40)),
                ('hash_algorithm', models.CharField(max_length=6)),
                ('issuer_name_hash', models.CharField(max_length=128)),
                ('issuer_key_hash', models.CharField(max_length=128)),
                ('serial', models.CharField(max_length=40)),
                ('reported_at', models.DateTimeField()),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='installed_certificates', to='cpo.chargepoint')),
            ],
        ),
        migrations.CreateModel(
            name='ProvisioningPlan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('country_code', models.CharField(max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('protocol', models.CharField(choices=[('1.6', 'OCPP 1.6'), ('2.0.1', 'OCPP 2.0.1 and 2.1')], help_text='its keys are of', max_length=5)),
                ('vendor', models.CharField(blank=True, db_default='', default='', help_text='empty: any', max_length=50)),
                ('model', models.CharField(blank=True, db_default='', default='', help_text='empty: any', max_length=50)),
                ('active', models.BooleanField(db_default=True, default=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('charge_point', models.ForeignKey(blank=True, help_text='empty: any', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='provisioning_plans', to='cpo.chargepoint')),
            ],
        ),
        migrations.CreateModel(
            name='ProvisioningResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('wanted', models.CharField(blank=True, max_length=2500)),
                ('actual', models.TextField(blank=True, help_text='empty: it did not say', null=True)),
                ('status', models.CharField(choices=[('WAITING', 'WAITING'), ('Same', 'Same'), ('Accepted', 'Accepted'), ('Rejected', 'Rejected'), ('RebootRequired', 'RebootRequired'), ('NotSupported', 'NotSupported'), ('Unanswered', 'Unanswered')], max_length=14)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0, help_text='since the boot')),
                ('error', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='provisioned', to='cpo.chargepoint')),
            ],
        ),
        migrations.CreateModel(
            name='ProvisioningRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('READING', 'READING'), ('SETTING', 'SETTING'), ('DONE', 'DONE'), ('FAILED', 'FAILED')], max_length=8)),
                ('booted_at', models.DateTimeField(help_text='of the boot it follows')),
                ('request_id', models.PositiveIntegerField(help_text='of the report, in 2.0.1')),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0, help_text='of reading')),
                ('due_at', models.DateTimeField(blank=True, help_text='when to go on if nothing happens', null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('charge_point', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='provisioning', to='cpo.chargepoint')),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.operation')),
            ],
        ),
        migrations.CreateModel(
            name='ProvisioningSetting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('value', models.CharField(blank=True, max_length=2500)),
                ('plan', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='settings', to='cpo.provisioningplan')),
            ],
        ),
        migrations.CreateModel(
            name='Rollout',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('state', models.CharField(choices=[('READY', 'READY'), ('RUNNING', 'RUNNING'), ('PAUSED', 'PAUSED'), ('STOPPED', 'STOPPED'), ('DONE', 'DONE')], max_length=8)),
                ('at_once', models.PositiveIntegerField(help_text='charge points updating at the same time')),
                ('stop_after', models.PositiveIntegerField(help_text='failures; 0: never')),
                ('created_by', models.CharField(max_length=150)),
                ('reason', models.CharField(blank=True, db_default='', default='', help_text='why it stopped', max_length=255)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rollouts', to='cpo.firmwareimage')),
            ],
        ),
        migrations.AddField(
            model_name='devicejob',
            name='rollout',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='cpo.rollout'),
        ),
        migrations.CreateModel(
            name='StationCertificate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(default='ChargingStationCertificate', help_text='certificateType of 2.0.1', max_length=26)),
                ('state', models.CharField(choices=[('ASKED', 'ASKED'), ('SENT', 'SENT'), ('INSTALLED', 'INSTALLED'), ('REFUSED', 'REFUSED'), ('FAILED', 'FAILED'), ('REPLACED', 'REPLACED')], max_length=9)),
                ('csr', models.TextField()),
                ('chain', models.TextField(blank=True, db_default='', default='', help_text='PEM, its own certificate first')),
                ('serial', models.CharField(blank=True, db_default='', default='', help_text='hexadecimal', max_length=40)),
                ('subject', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('valid_from', models.DateTimeField(blank=True, null=True)),
                ('valid_until', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_because', models.CharField(blank=True, db_default='', default='', max_length=100)),
                ('error', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('due_at', models.DateTimeField(blank=True, help_text='when to try to have it signed', null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('authority', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='issued', to='cpo.certificateauthority')),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='certificates', to='cpo.chargepoint')),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.operation')),
            ],
        ),
        migrations.CreateModel(
            name='StationEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(blank=True, db_default='', default='', help_text='as it was shown', max_length=48)),
                ('source', models.CharField(choices=[('STATION', 'Station'), ('GATEWAY', 'Gateway'), ('PLATFORM', 'Platform')], max_length=8)),
                ('kind', models.CharField(max_length=50)),
                ('critical', models.BooleanField(db_default=False, default=False)),
                ('info', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('at', models.DateTimeField(help_text='by the clock of the charge point where that can be right')),
                ('received_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('seen_at', models.DateTimeField(blank=True, help_text='when an operator ended the alarm', null=True)),
                ('seen_by', models.CharField(blank=True, db_default='', default='', max_length=150)),
                ('charge_point', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='station_events', to='cpo.chargepoint')),
            ],
        ),
        migrations.CreateModel(
            name='BootRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('vendor', models.CharField(max_length=50)),
                ('model', models.CharField(max_length=50)),
                ('serial', models.CharField(blank=True, max_length=50)),
                ('box_serial', models.CharField(blank=True, max_length=50)),
                ('firmware', models.CharField(blank=True, max_length=50)),
                ('iccid', models.CharField(blank=True, max_length=20, verbose_name='ICCID')),
                ('imsi', models.CharField(blank=True, max_length=20, verbose_name='IMSI')),
                ('meter_type', models.CharField(blank=True, max_length=50)),
                ('meter_serial', models.CharField(blank=True, max_length=50)),
                ('protocol', models.CharField(blank=True, max_length=16)),
                ('reason', models.CharField(blank=True, help_text='of the last boot; OCPP 1.6 gives none', max_length=20)),
                ('boots', models.PositiveIntegerField(db_default=1, default=1)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='boots', to='cpo.chargepoint')),
            ],
            options={
                'indexes': [models.Index(fields=['charge_point', '-last_at'], name='cpo_boot_newest')],
            },
        ),
        migrations.CreateModel(
            name='ConfigurationValue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200)),
                ('value', models.TextField(blank=True)),
                ('readonly', models.BooleanField(db_default=False, default=False)),
                ('read_at', models.DateTimeField()),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='configuration', to='cpo.chargepoint')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('charge_point', 'key'), name='cpo_configuration_once')],
            },
        ),
        migrations.CreateModel(
            name='DataTransfer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('received_at', models.DateTimeField()),
                ('vendor_id', models.CharField(max_length=255)),
                ('message_id', models.CharField(blank=True, max_length=50)),
                ('data', models.JSONField(blank=True, help_text='exactly as it came', null=True)),
                ('status', models.CharField(max_length=20)),
                ('answer', models.JSONField(blank=True, null=True)),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='data_transfers', to='cpo.chargepoint')),
            ],
            options={
                'indexes': [models.Index(fields=['charge_point', '-id'], name='cpo_data_transfer'), models.Index(models.F('received_at'), name='cpo_data_transfer_old')],
            },
        ),
        migrations.CreateModel(
            name='FileLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(help_text='of the secret in the URL', max_length=64, unique=True)),
                ('upload', models.BooleanField()),
                ('uses_left', models.PositiveIntegerField()),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('address', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links', to='cpo.devicejob')),
            ],
            options={
                'indexes': [models.Index(models.F('expires_at'), name='cpo_file_link_expiry')],
            },
        ),
        migrations.AddConstraint(
            model_name='firmwareimage',
            constraint=models.CheckConstraint(condition=models.Q(('file__isnull', False), models.Q(('url', ''), _negated=True), _connector='OR'), name='cpo_firmware_lies_somewhere'),
        ),
        migrations.AddConstraint(
            model_name='installedcertificate',
            constraint=models.UniqueConstraint(fields=('charge_point', 'kind', 'issuer_key_hash', 'issuer_name_hash', 'serial'), name='cpo_installed_certificate_once'),
        ),
        migrations.AddConstraint(
            model_name='provisioningplan',
            constraint=models.UniqueConstraint(fields=('country_code', 'party_id', 'name'), name='cpo_provisioning_plan_once'),
        ),
        migrations.AddConstraint(
            model_name='provisioningresult',
            constraint=models.UniqueConstraint(fields=('charge_point', 'key'), name='cpo_provisioned_once'),
        ),
        migrations.AddIndex(
            model_name='provisioningrun',
            index=models.Index(models.F('due_at'), condition=models.Q(('ended_at', None)), name='cpo_provisioning_due'),
        ),
        migrations.AddConstraint(
            model_name='provisioningsetting',
            constraint=models.UniqueConstraint(fields=('plan', 'key'), name='cpo_provisioning_setting_once'),
        ),
        migrations.AddIndex(
            model_name='rollout',
            index=models.Index(models.F('id'), condition=models.Q(('state', 'RUNNING')), name='cpo_rollout_running'),
        ),
        migrations.AddConstraint(
            model_name='rollout',
            constraint=models.CheckConstraint(condition=models.Q(('at_once__gt', 0)), name='cpo_rollout_does_something'),
        ),
        migrations.AddIndex(
            model_name='devicejob',
            index=models.Index(models.F('charge_point'), condition=models.Q(('ended_at', None)), name='cpo_job_open'),
        ),
        migrations.AddIndex(
            model_name='devicejob',
            index=models.Index(models.F('operation'), condition=models.Q(('ended_at', None)), name='cpo_job_by_operation'),
        ),
        migrations.AddIndex(
            model_name='devicejob',
            index=models.Index(fields=['charge_point', '-id'], name='cpo_job_newest'),
        ),
        migrations.AddConstraint(
            model_name='devicejob',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'FIRMWARE'), _negated=True), ('image__isnull', False), _connector='OR'), name='cpo_job_has_its_firmware'),
        ),
        migrations.AddConstraint(
            model_name='devicejob',
            constraint=models.UniqueConstraint(fields=('rollout', 'charge_point'), name='cpo_job_once_per_rollout'),
        ),
        migrations.AddIndex(
            model_name='stationcertificate',
            index=models.Index(models.F('due_at'), condition=models.Q(('due_at__isnull', False)), name='cpo_certificate_due'),
        ),
        migrations.AddIndex(
            model_name='stationcertificate',
            index=models.Index(fields=['authority', 'serial'], name='cpo_certificate_serial'),
        ),
        migrations.AddIndex(
            model_name='stationcertificate',
            index=models.Index(models.F('operation'), condition=models.Q(('state', 'SENT')), name='cpo_certificate_sent'),
        ),
        migrations.AddIndex(
            model_name='stationcertificate',
            index=models.Index(models.F('valid_until'), condition=models.Q(('state', 'INSTALLED')), name='cpo_certificate_expiry'),
        ),
        migrations.AddIndex(
            model_name='stationevent',
            index=models.Index(condition=models.Q(('critical', True), ('seen_at', None)), fields=['-id'], name='cpo_station_alarm'),
        ),
        migrations.AddIndex(
            model_name='stationevent',
            index=models.Index(fields=['charge_point', '-id'], name='cpo_station_event'),
        ),
    ]
