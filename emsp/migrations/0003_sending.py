"""Commands of every kind, charging profiles and charging preferences that we send."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("emsp", "0002_sql")]

    operations = [
        migrations.CreateModel(
            name='SentPreferences',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('document', models.TextField()),
                ('response', models.CharField(blank=True, help_text='ChargingPreferencesResponse; empty: no answer', max_length=30)),
                ('message', models.TextField(blank=True)),
                ('asked_by', models.CharField(blank=True, max_length=150)),
                ('sent_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'sent preferences',
            },
        ),
        migrations.AlterModelOptions(
            name='command',
            options={'permissions': [('unlock_connector', 'Can have a connector unlocked (CMD-43)')]},
        ),
        migrations.AddField(
            model_name='command',
            name='asked_by',
            field=models.CharField(blank=True, help_text='the operator, where one has to ask (CMD-42)', max_length=150),
        ),
        migrations.CreateModel(
            name='ActiveProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('document', models.TextField()),
                ('last_updated', models.DateTimeField(help_text='when it came')),
                ('session', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='active_profile', to='emsp.session')),
            ],
        ),
        migrations.CreateModel(
            name='ChargingProfileRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(editable=False, max_length=43, unique=True)),
                ('kind', models.CharField(choices=[('SET', 'set a profile'), ('GET', 'get the active profile'), ('CLEAR', 'clear the profile')], max_length=5)),
                ('state', models.CharField(choices=[('SENT', 'SENT'), ('ACCEPTED', 'ACCEPTED'), ('DONE', 'DONE'), ('EXPIRED', 'EXPIRED'), ('REFUSED', 'REFUSED'), ('FAILED', 'FAILED')], max_length=12)),
                ('profile', models.TextField(blank=True, help_text='the ChargingProfile that was to be set')),
                ('duration', models.PositiveIntegerField(blank=True, help_text='seconds that were asked about', null=True)),
                ('asked_by', models.CharField(blank=True, max_length=150)),
                ('correlation_id', models.CharField(max_length=255)),
                ('response', models.CharField(blank=True, help_text='ChargingProfileResponseType', max_length=20)),
                ('timeout', models.PositiveIntegerField(default=0, help_text='seconds, as announced')),
                ('result', models.CharField(blank=True, help_text='ChargingProfileResultType', max_length=10)),
                ('result_body', models.TextField(blank=True, help_text='the result as it came')),
                ('message', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('deadline_at', models.DateTimeField(blank=True, null=True)),
                ('result_at', models.DateTimeField(blank=True, null=True)),
                ('scsp_country_code', models.CharField(blank=True, max_length=2)),
                ('scsp_party_id', models.CharField(blank=True, max_length=3)),
                ('scsp_session_id', models.CharField(blank=True, help_text="the Session's id as the SCSP spells it", max_length=36)),
                ('scsp_response_url', models.CharField(blank=True, max_length=255)),
                ('platform', models.ForeignKey(help_text='asked through it', on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ocpi.platform')),
                ('scsp_platform', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ocpi.platform')),
                ('session', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='emsp.session')),
            ],
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('country_code', models.CharField(help_text='of the CPO', max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('emsp_country_code', models.CharField(help_text='our party that asked: the only one that may cancel', max_length=2)),
                ('emsp_party_id', models.CharField(max_length=3)),
                ('reservation_id', models.CharField(max_length=36)),
                ('state', models.CharField(choices=[('REQUESTED', 'REQUESTED'), ('RESERVED', 'RESERVED'), ('REFUSED', 'REFUSED'), ('CANCELED', 'CANCELED'), ('CANCELED_BY_CPO', 'CANCELED_BY_CPO'), ('EXPIRED', 'EXPIRED')], max_length=16)),
                ('location_id', models.CharField(max_length=36)),
                ('evse_uid', models.CharField(blank=True, max_length=36)),
                ('expiry_date', models.DateTimeField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('changed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('token', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='emsp.token')),
            ],
        ),
        migrations.AddField(
            model_name='command',
            name='reservation',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='emsp.reservation'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('state__in', ['SENT', 'ACCEPTED'])), fields=['id'], name='emsp_command_open'),
        ),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('command', 'UNLOCK_CONNECTOR'), _negated=True), models.Q(('asked_by', ''), _negated=True), _connector='OR'), name='emsp_unlock_is_asked_by_somebody'),
        ),
        migrations.AddField(
            model_name='sentpreferences',
            name='session',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='preferences', to='emsp.session'),
        ),
        migrations.AddIndex(
            model_name='chargingprofilerequest',
            index=models.Index(fields=['session', '-id'], name='emsp_profile_session'),
        ),
        migrations.AddIndex(
            model_name='chargingprofilerequest',
            index=models.Index(condition=models.Q(('state__in', ('SENT', 'ACCEPTED'))), fields=['id'], name='emsp_profile_open'),
        ),
        migrations.AddConstraint(
            model_name='chargingprofilerequest',
            constraint=models.CheckConstraint(condition=models.Q(('scsp_platform', None), models.Q(('scsp_response_url', ''), _negated=True), _connector='OR'), name='emsp_profile_scsp_has_url'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state__in', ('REQUESTED', 'RESERVED'))), fields=['expiry_date'], name='emsp_reservation_open'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Upper('country_code'), django.db.models.functions.text.Upper('party_id'), django.db.models.functions.text.Upper('emsp_country_code'), django.db.models.functions.text.Upper('emsp_party_id'), django.db.models.functions.text.Upper('reservation_id'), name='emsp_reservation_identity'),
        ),
    ]
